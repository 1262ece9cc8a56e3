-- For wrk: asks models in turn with one body, and prints what it found as a line of JSON.
-- Arguments: the file with the body, how many models (m0, m1, ...), and then headers as "Name=value".
local requests, at = {}, 0

function init(arguments)
  local file = io.open(arguments[1], "rb")
  local body = file:read("*a")
  file:close()
  local headers = {}
  for index = 3, #arguments do
    local name, value = arguments[index]:match("^([^=]+)=(.*)$")
    headers[name] = value
  end
  for number = 0, tonumber(arguments[2]) - 1 do
    local path = "/v2/models/m" .. number .. "/infer"
    requests[number + 1] = wrk.format("POST", path, headers, body)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    'FOUND {"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "failed": %d}',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e6, latency:percentile(99) / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
