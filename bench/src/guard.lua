-- The features of the filter, as far as Lua has them (Envoy 1.38 and later): routes by one table
-- lookup, 404 and 405 as problems, annotated and counted answers on observed routes, the outcome
-- where access logs find it. A script sees neither response flags nor who wrote an answer, so the
-- outcome is the status's and injected delays go unseen; its clock counts whole milliseconds; and
-- it is not called when a request ends, so it counts what is known when headers go out.
-- Written before these lines: `routes`, of {methods = set or nil, allow, observed = name or nil},
-- and the texts.

local function refuse(handle, status, outcome, metric, headers, body)
  handle:stats():counter(metric):inc()
  handle:streamInfo():dynamicMetadata():set("faultline", "outcome", outcome)
  headers[":status"] = status
  headers["content-type"] = "application/problem+json"
  handle:respond(headers, body)
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local path = headers:get(":path") or ""
  local query = string.find(path, "?", 1, true)
  if query then path = string.sub(path, 1, query - 1) end
  local route = routes[path]
  if not route then
    return refuse(handle, "404", "unknown_route", "faultline_unknown_routes_total",
      {["proxy-status"] = UNKNOWN_ROUTE}, NOT_FOUND)
  end
  if route.methods and not route.methods[headers:get(":method")] then
    return refuse(handle, "405", "method_not_allowed", "faultline_method_not_allowed_total",
      {["proxy-status"] = METHOD_NOT_ALLOWED, allow = route.allow}, NOT_ALLOWED)
  end
  if route.observed then
    local metadata = handle:streamInfo():dynamicMetadata()
    metadata:set("faultline", "route", route.observed)
    metadata:set("faultline", "start", handle:timestamp())
  end
end

function envoy_on_response(handle)
  local metadata = handle:streamInfo():dynamicMetadata()
  local mine = metadata:get("faultline")
  if not mine or not mine.start then return end
  local route = mine.route
  local headers = handle:headers()
  local status = tonumber(headers:get(":status"))
  local outcome = "ok"
  if status == 504 then outcome = "timeout"
  elseif status >= 500 then outcome = "upstream_error"
  elseif status >= 400 then outcome = "client_error" end
  local details = "outcome=" .. outcome
  local elapsed = handle:timestamp() - mine.start
  local timing = string.format('faultline;dur=%d;desc="%s"', elapsed, outcome)
  local stats = handle:stats()
  local attempts = headers:get("x-envoy-attempt-count")
  if attempts then
    details = details .. " attempts=" .. attempts
    timing = timing .. ', attempts;desc="' .. attempts .. '"'
    local retries = tonumber(attempts) - 1
    if retries > 0 then stats:counter("faultline_retries_total." .. route):add(retries) end
  end
  headers:add("proxy-status", 'faultline; details="' .. details .. '"')
  headers:add("server-timing", timing)
  stats:counter("faultline_requests_total." .. route .. "." .. outcome):inc()
  stats:histogram("faultline_request_duration_milliseconds." .. route, "ms"):recordValue(elapsed)
  metadata:set("faultline", "outcome", outcome)
end
