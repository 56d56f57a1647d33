-- Whole requests out of a file, one after the other: wrk -s messages.lua URL -- FILE SIZE [loop]
-- Each has SIZE bytes. At the file's end: from its beginning again with `loop`, else an error, for a message is taken once.
local f, size, loop

function init(args)
	f = assert(io.open(args[1], "rb"))
	f:setvbuf("full", 1024 * 1024)
	size = tonumber(args[2])
	loop = args[3] == "loop"
end

function request()
	local r = f:read(size)
	if not r and loop then
		f:seek("set")
		r = f:read(size)
	end
	if not r or #r < size then
		io.stdout:write("the prepared messages are used up\n")
		io.stdout:flush()
		os.exit(3)
	end
	return r
end
