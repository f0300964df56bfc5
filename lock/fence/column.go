package fence

import (
	"database/sql"
	"errors"
	"fmt"
	"regexp"
)

// Column is a column of type BIGINT NOT NULL DEFAULT 0 that keeps the token of the last write to its row. A statement
// that writes the row sets and compares it:
//
//	fenced := fence.Column("token")
//	res, err := db.ExecContext(ctx,
//		"UPDATE accounts SET balance = $1, "+fenced.Set("$2")+" WHERE id = $3 AND "+fenced.Allows("$2"),
//		balance, lease.Token(), id)
//	err = fenced.Wrote(res, err)
//
// A token can be passed as an argument to any driver: it is below 2^53. With ? for placeholders it is passed twice. MySQL
// counts rows that changed, unless the connection has clientFoundRows=true: without it the same holder that writes the
// same value twice looks stale.
type Column string

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`)

// Set returns the assignment that a SET clause needs. The placeholder stands for the token, as in $2 or ?.
func (c Column) Set(placeholder string) string { return c.name() + " = " + placeholder }

// Allows returns the predicate that a WHERE clause needs. The placeholder stands for the token.
func (c Column) Allows(placeholder string) string { return c.name() + " <= " + placeholder }

// name keeps everything out of a statement that is not a plain identifier; what it returns instead is a syntax error
// that names the rule, in every database.
func (c Column) name() string {
	if !identifier.MatchString(string(c)) {
		return fmt.Sprintf("<fence: column %q is not a plain identifier>", string(c))
	}
	return string(c)
}

// Wrote returns err, or an error that wraps [ErrStale] when the statement changed no row: a later holder has written
// it, or there is none.
func (c Column) Wrote(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	if res == nil {
		return errors.New("fence: no result to look at")
	}
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		err = fmt.Errorf("%w: no row was written where %s", ErrStale, c.Allows("the token"))
	}
	return err
}
