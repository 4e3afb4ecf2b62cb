-- The features of the filter, as far as Lua has them: routes by one table lookup, 404 and 405 as
-- problems, annotated answers on observed routes, the outcome where access logs find it. It has no
-- way to count, sees neither response flags nor who wrote an answer, so that the outcome is the
-- status's, and its clock counts whole milliseconds.
-- Written before these lines: `routes`, of {methods = set or nil, allow, observed}, and the texts.

local function refuse(handle, status, outcome, headers, body)
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
    return refuse(handle, "404", "unknown_route", {["proxy-status"] = UNKNOWN_ROUTE}, NOT_FOUND)
  end
  if route.methods and not route.methods[headers:get(":method")] then
    return refuse(handle, "405", "method_not_allowed",
      {["proxy-status"] = METHOD_NOT_ALLOWED, allow = route.allow}, NOT_ALLOWED)
  end
  if route.observed then
    handle:streamInfo():dynamicMetadata():set("faultline", "start", handle:timestamp())
  end
end

function envoy_on_response(handle)
  local metadata = handle:streamInfo():dynamicMetadata()
  local mine = metadata:get("faultline")
  if not mine or not mine.start then return end
  local headers = handle:headers()
  local status = tonumber(headers:get(":status"))
  local outcome = "ok"
  if status == 504 then outcome = "timeout"
  elseif status >= 500 then outcome = "upstream_error"
  elseif status >= 400 then outcome = "client_error" end
  local details = "outcome=" .. outcome
  local timing = string.format('faultline;dur=%d;desc="%s"', handle:timestamp() - mine.start, outcome)
  local attempts = headers:get("x-envoy-attempt-count")
  if attempts then
    details = details .. " attempts=" .. attempts
    timing = timing .. ', attempts;desc="' .. attempts .. '"'
  end
  headers:add("proxy-status", 'faultline; details="' .. details .. '"')
  headers:add("server-timing", timing)
  metadata:set("faultline", "outcome", outcome)
end
