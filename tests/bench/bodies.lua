-- POST /encrypt for sessions chosen at random: wrk -s bodies.lua URL -- SESSIONS COUNT SIZE [DELAY_MS]
-- SESSIONS: what fill.c prints, of which the first COUNT are used. SIZE: bytes of plaintext. DELAY_MS: what each client waits before its next request.
local RECORD, ID = 109, 43
local READY_BYTES = 64 * 1024 * 1024
local ids, count, head, tail, ready

local function whole(i)
	return head .. ids:sub(i * RECORD + 1, i * RECORD + ID) .. tail
end

function init(args)
	local f = assert(io.open(args[1], "rb"))
	count = tonumber(args[2])
	ids = f:read(count * RECORD)
	f:close()
	assert(#ids == count * RECORD, "too few sessions")
	local text = string.rep("The quick brown fox jumps over the lazy dog. ", math.ceil(tonumber(args[3]) / 45)):sub(1, tonumber(args[3]))
	local before, after = '{"session_id":"', '","plaintext":"' .. text .. '"}'
	head = "POST /encrypt HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " ..
		#before + ID + #after .. "\r\n\r\n" .. before
	tail = after
	-- Made ahead where that fits, so that the client has less to do.
	if count * (#head + ID + #tail) <= READY_BYTES then
		ready = {}
		for i = 1, count do
			ready[i] = whole(i - 1)
		end
	end
	local ms = tonumber(args[4] or "0")
	if ms > 0 then
		function delay()
			return ms
		end
	end
	math.randomseed(1)
end

function request()
	if ready then
		return ready[math.random(count)]
	end
	return whole(math.random(0, count - 1))
end
