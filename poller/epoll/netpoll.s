// An assembly file lets the compiler accept openPoll without a body.
