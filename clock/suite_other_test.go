//go:build !linux

package clock

func platformKinds() []kind {
	return []kind{{name: "system", clock: System}}
}
