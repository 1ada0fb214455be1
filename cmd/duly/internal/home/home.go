// Package home says where the daemon's files are, so that the daemon and the command line look in the same place without being told.
//
// It is not for making, reading or checking them. Its central function is [Data].
package home

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
)

// system is the directory of a daemon that has no home: one that an init system starts as a system's service.
const system = "/var/lib/duly"

// Data returns the daemon's directory, as an absolute path: what the flag --data says, else DULY_DATA, else the directory duly in
// XDG_STATE_HOME, else ~/.local/state/duly; on Windows in place of these two the directory duly in LocalAppData. Where there is no
// home it is /var/lib/duly. It reads the environment through getenv, and makes nothing.
func Data(flag string, getenv func(string) string) (string, error) {
	if flag != "" {
		return absolute("--data", flag)
	}
	if dir := getenv("DULY_DATA"); dir != "" {
		return absolute("DULY_DATA", dir)
	}
	if runtime.GOOS == "windows" {
		if dir := getenv("LocalAppData"); dir != "" {
			return absolute("LocalAppData", filepath.Join(dir, "duly"))
		}
	}
	// As its specification says, an XDG_STATE_HOME that is relative is as none.
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "duly"), nil
	}
	if dir := getenv("HOME"); filepath.IsAbs(dir) && filepath.Clean(dir) != "/" {
		return filepath.Join(dir, ".local", "state", "duly"), nil
	}
	if runtime.GOOS == "windows" {
		return "", errors.New("there is no data directory: none of --data, DULY_DATA and LocalAppData says where; give --data DIR")
	}
	return system, nil
}

func absolute(from, dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil { // the working directory is gone
		return "", fmt.Errorf("%s %q: want an absolute path: %w", from, dir, err)
	}
	return abs, nil
}

// MostSocket is how many bytes the path of a socket may have on every system that has them: the kernel keeps it in 104 bytes on
// the BSDs and macOS and in 108 on Linux, the last of which is 0.
const MostSocket = 103

// Socket returns the path of the socket that a daemon with this directory listens on. The error says what to do about a path that
// is too long for one; it is nil for all others.
func Socket(data string) (string, error) {
	path := filepath.Join(data, "duly.sock")
	if len(path) > MostSocket {
		return "", fmt.Errorf("the data directory's path is too long for a socket in it: %q has %d bytes, want at most %d; choose a shorter --data DIR",
			path, len(path), MostSocket)
	}
	return path, nil
}

// Token returns the path of the file with the token that a daemon with this directory asks for over TCP.
func Token(data string) string { return filepath.Join(data, "token") }

// Store returns the path of the directory of the daemon's store.
func Store(data string) string { return filepath.Join(data, "store") }

// Lock returns the path of the file that a daemon with this directory has locked.
func Lock(data string) string { return filepath.Join(data, "lock") }

// Copying returns the path of the directory of a backup that a daemon is handing out.
func Copying(data string) string { return filepath.Join(data, "backup.tmp") }

// Partial returns the path of the directory of a store that is not there whole yet.
func Partial(data string) string { return filepath.Join(data, "store.partial") }

// Output returns the path of the directory of what attempts have printed.
func Output(data string) string { return filepath.Join(data, "output") }
