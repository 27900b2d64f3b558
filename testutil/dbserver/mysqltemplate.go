package dbserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// smallFiles are options that keep a data folder small, and quick to make and to copy. The server of a template and its
// copies have to agree on them.
func smallFiles(mariadb bool) []string {
	options := []string{
		"--innodb-flush-method=nosync", "--loose-innodb-use-native-aio=0", "--innodb-doublewrite=OFF",
		"--innodb-autoextend-increment=1", "--innodb-buffer-pool-size=8M",
	}
	if mariadb {
		return append(options, "--innodb-log-file-size=4M", "--innodb-undo-tablespaces=0")
	}
	return append(options, "--innodb-redo-log-capacity=8M", "--secure-file-priv=NULL", "--mysqlx=OFF",
		"--performance-schema=OFF")
}

func mysqlTemplate(b mysqlBinaries, name string) template {
	t := template{name: name, binary: b.daemon, options: smallFiles(mariaDB(name))}
	t.make = func(ctx context.Context, dir string) error {
		options := append(b.where(), t.options...)
		if mariaDB(name) {
			return b.bootstrapMariaDB(ctx, dir, options)
		}
		return b.initializeMySQL(ctx, dir, options)
	}
	return t
}

// initializeMySQL makes a data folder whose only account is root@localhost, without a password.
func (b mysqlBinaries) initializeMySQL(ctx context.Context, dir string, options []string) error {
	args := append([]string{"--no-defaults", "--initialize-insecure", "--auto-generate-certs=OFF", "--datadir=" + dir},
		options...)
	if err := b.prepare(ctx, dir, nil, args); err != nil {
		return err
	}
	return os.Remove(filepath.Join(dir, "auto.cnf")) // the server's UUID, which a copy makes for itself
}

// bootstrapMariaDB does what the script mariadb-install-db does, which is not in every package, and leaves
// root@localhost, without a password, as the only account.
func (b mysqlBinaries) bootstrapMariaDB(ctx context.Context, dir string, options []string) error {
	var script bytes.Buffer
	script.WriteString("CREATE DATABASE mysql;\nUSE mysql;\n")
	for _, part := range []string{"system_tables", "performance_tables", "system_tables_data", "sys_schema"} {
		text, err := os.ReadFile(filepath.Join(b.messages, "mariadb_"+part+".sql"))
		if errors.Is(err, os.ErrNotExist) {
			text, err = os.ReadFile(filepath.Join(b.messages, "mysql_"+part+".sql")) // before 11
		}
		if err != nil && (part != "sys_schema" || !errors.Is(err, os.ErrNotExist)) { // 10.5 has none
			return fmt.Errorf("system tables: %w", err)
		}
		script.Write(text)
	}
	script.WriteString("DELETE FROM global_priv WHERE User <> 'mariadb.sys' AND (User <> 'root' OR Host <> " +
		"'localhost');\n" +
		"DELETE FROM proxies_priv WHERE Host <> 'localhost';\n")
	if err := errors.Join(os.Mkdir(dir, 0o700), give(dir)); err != nil {
		return err
	}
	args := append([]string{"--no-defaults", "--bootstrap", "--skip-log-bin", "--datadir=" + dir}, options...)
	return b.prepare(ctx, dir, script.Bytes(), args)
}

// prepare runs the server as its own user until it ends by itself. In a folder for
// temporary files that others share, a MariaDB that starts would remove its tables.
func (b mysqlBinaries) prepare(ctx context.Context, dir string, input []byte, args []string) error {
	argv := b.argv(append(args, "--tmpdir="+filepath.Dir(dir))...)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr, cmd.Stdin = filepath.Dir(dir), serverEnv(), asServerUser(),
		bytes.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("data folder: %w\n%s", err, logTail(out))
	}
	return nil
}
