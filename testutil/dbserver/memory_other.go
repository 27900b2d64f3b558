//go:build !linux

package dbserver

func memoryDir() (string, bool) { return "", false }
