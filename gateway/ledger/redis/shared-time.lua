-- Follows leases.lua in scripts that bill time which leases pay for together, as verbs/shared-time.ts does. KEYS[4]: a hash, for each
-- key what was paid for: `rest from to from to …`; the rest in millionths of an msat, the times in Unix ms. It ends as a whole, a day and an hour after the last payment.
local MAX_SPANS = 64
local SHARED_TTL = 90000
local paid_time = {}

local function parse_spans(value)
  local spans, from = {}, nil
  for word in string.gmatch(value, '%S+') do
    local ms = number(word)
    if from then
      spans[#spans + 1] = { from, ms }
      from = nil
    else
      from = ms
    end
  end
  if from then error('DAMAGED: paid time') end
  return spans
end

-- Read before anything is written: what can't be read stops the script with nothing done.
local function load_paid(key)
  if key == '' or paid_time[key] then return end
  local rest, spans = string.match(call('HGET', KEYS[4], key) or '0', '^(%d+)(.*)$')
  if not rest then error('DAMAGED: paid time') end
  paid_time[key] = { rest = number(rest), spans = parse_spans(spans) }
end

local function length_of(spans)
  local sum = 0
  for _, span in ipairs(spans) do sum = sum + span[2] - span[1] end
  return sum
end

local function join_spans(some, others)
  local all, joined = {}, {}
  for _, span in ipairs(some) do all[#all + 1] = span end
  for _, span in ipairs(others) do all[#all + 1] = span end
  table.sort(all, function(a, b) return a[1] < b[1] end)
  for _, span in ipairs(all) do
    local last = joined[#joined]
    if not last or span[1] > last[2] then
      joined[#joined + 1] = { span[1], span[2] }
    elseif span[2] > last[2] then
      last[2] = span[2]
    end
  end
  return joined
end

local function merge_nearest(spans)
  while #spans > MAX_SPANS do
    local nearest = 2
    for at = 3, #spans do
      if spans[at][1] - spans[at - 1][2] < spans[nearest][1] - spans[nearest - 1][2] then nearest = at end
    end
    spans[nearest - 1][2] = spans[nearest][2]
    table.remove(spans, nearest)
  end
end

-- So much of the amount as new is of all, with what was left before, in whole msat, and what is left now.
local function part_of(amount, new, all, left)
  if new >= all then return amount, left end
  local part = amount * new / all
  local whole = math.floor(part)
  local rest = left + math.floor((part - whole) * 1000000)
  if rest >= 1000000 and whole < amount then return whole + 1, rest - 1000000 end
  return math.min(whole, amount), math.min(rest, 999999)
end

-- What of the amount is billed. key: '' when the lease pays for itself alone; then, and without spans, all of it.
local function bill_shared(key, written, amount)
  if key == '' then return amount end
  local spans = parse_spans(written)
  local all = length_of(spans)
  if all == 0 then return amount end
  local paid = paid_time[key]
  local joined = join_spans(paid.spans, spans)
  local new = length_of(joined) - length_of(paid.spans)
  local billed
  billed, paid.rest = part_of(amount, new, all, paid.rest)
  merge_nearest(joined)
  paid.spans = joined
  local words = { text(paid.rest) }
  for _, span in ipairs(joined) do
    words[#words + 1] = text(span[1])
    words[#words + 1] = text(span[2])
  end
  call('HSET', KEYS[4], key, table.concat(words, ' '))
  call('EXPIRE', KEYS[4], tostring(SHARED_TTL))
  return billed
end
