#!/bin/sh
# Makes what the containers keep secret, once: what is there already stays. Back the folder up: with the master key everything that was
# sold is lost.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets

# once NAME TEXT: a file that containers may read, whatever user they run as; the folder keeps everybody else out.
once() {
  [ -e "secrets/$1" ] && return 0
  printf '%s\n' "$2" > "secrets/$1"
  chmod 444 "secrets/$1"
}

random() { openssl rand -hex 32; }

once master-key "$(random)"
once admin-token "$(random)"
once redis-password "$(random)"
once redis-auth.conf "requirepass $(cat secrets/redis-password)"
# Places for what a Lightning node gives (docs/deploy.md).
[ -e secrets/lnd-macaroon ] || { : > secrets/lnd-macaroon; chmod 444 secrets/lnd-macaroon; }
[ -e secrets/lnd-tls.cert ] || { : > secrets/lnd-tls.cert; chmod 444 secrets/lnd-tls.cert; }

echo "The secrets are in $(pwd)/secrets. Next: docker compose up --build --detach"
echo "Admin: http://127.0.0.1:8403/#token=$(cat secrets/admin-token)"
