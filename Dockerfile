# syntax=docker/dockerfile:1

FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# No install scripts: the image brings Node 24 itself, and secp256k1 is looked after below.
RUN npm ci --ignore-scripts --no-audit --no-fund
# Without its native part secp256k1 falls back to JavaScript, ten times slower. There is a prebuilt one for linux-x64 and none
# for linux-arm64, where it is compiled against the headers that the image already has.
RUN node -e "require('./node_modules/secp256k1/bindings')" 2>/dev/null \
 || ( apt-get update \
   && apt-get install -y --no-install-recommends python3 make g++ \
   && node /usr/local/lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js rebuild \
        --directory=node_modules/secp256k1 --nodedir=/usr/local \
   && node -e "require('./node_modules/secp256k1/bindings')" )
COPY tsconfig.json tsconfig.build.json ./
COPY gateway gateway
COPY node node
COPY config config
COPY client client
RUN npm run build && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY gateway/cli/sluice.js gateway/cli/sluice.js
COPY config/examples config/examples
COPY LICENSE ./
# The `sluice` command, for `docker exec`.
RUN ln -s /app/gateway/cli/sluice.js /usr/local/bin/sluice \
 && mkdir /data && chown node:node /data && chmod 700 /data
# `node` of the base image, by number: Kubernetes looks whether it is root.
USER 1000:1000
# Master key, admin token, ledger: what is lost with it can't be made again.
VOLUME /data
EXPOSE 8402
# /healthz of the admin listener, which is on the loopback of the container.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8403/healthz').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "dist/gateway/main.js"]
CMD ["--config", "/etc/sluice/sluice.yaml", "--data", "/data"]
