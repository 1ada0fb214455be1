package clock

func platformKinds() []kind {
	return []kind{
		{name: "timerfd", clock: System},
		{name: "fallback", clock: func() Clock {
			return newSystemClock(
				sources{now: runtimeNow(), bootTime: readBootTime},
				func(c *systemClock, w *waker) Alarm { return newFDAlarm(c, w, &fakeKernel{refuse: 100}) })
		}},
		{name: "fallback from the second on", clock: func() Clock {
			return newSystemClock(
				sources{now: runtimeNow(), bootTime: readBootTime},
				func(c *systemClock, w *waker) Alarm { return newFDAlarm(c, w, &fakeKernel{real: 1, refuse: 100}) })
		}},
	}
}
