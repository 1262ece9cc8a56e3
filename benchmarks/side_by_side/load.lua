-- For wrk: posts a file; an answer counts as wrong that is no 200 or has other data than the first.
-- Prints one line of JSON, times in microseconds.
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  wrong = 0
  local file = assert(io.open(arguments[1], "rb"))
  prepared = wrk.format("POST", nil, nil, file:read("*a"))
  file:close()
end

function request()
  return prepared
end

function response(status, headers, body)
  expected = expected or string.match(body, '"data":%s*%b[]') or "an answer with data"
  if status ~= 200 or not string.find(body, expected, 1, true) then
    wrong = wrong + 1
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  local wrong = errors.connect + errors.read + errors.write + errors.timeout
  for _, thread in ipairs(threads) do
    wrong = wrong + thread:get("wrong")
  end
  print(string.format(
    '{"answers": %d, "us": %d, "p50": %d, "p99": %d, "wrong": %d}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), wrong
  ))
end
