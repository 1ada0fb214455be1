//go:build !linux

package pebble_test

import "errors"

func mountTmpfs(string, string) error { return errors.ErrUnsupported }

func unmount(string) error { return errors.ErrUnsupported }

func remount(string, bool) error { return errors.ErrUnsupported }
