package dbserver

import "syscall"

// memoryDir is a folder in memory with room for a dozen servers. Measured: the thousand files of a data folder are
// copied in 0.06 s there, and in 0.05 to 0.6 s on ext4, as the disk pleases. Containers often have 64 MB only; then it
// is not used.
func memoryDir() (string, bool) {
	const dir, room = "/dev/shm", 2 << 30
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return "", false
	}
	// 2: may write
	return dir, fs.Bavail*uint64(fs.Bsize) >= room && enterable(dir) == nil && syscall.Access(dir, 2) == nil
}
