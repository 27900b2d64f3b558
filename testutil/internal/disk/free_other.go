//go:build !linux && !darwin

package disk

// state is where the disk of dir is mounted.
func state(dir string) string { return "at " + mount(dir) + " has no more" }
