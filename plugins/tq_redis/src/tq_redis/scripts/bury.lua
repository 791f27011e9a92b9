-- Buries a message nobody holds. ARGV[4…8]: queue, step, reason, traceback, envelope; then the limits of letters.lua.
-- Returns the letter's number.
return bury(ARGV[4], ARGV[5], ARGV[6], ARGV[7], 0, ARGV[8])
