// Command conformance drives the official scale set client by name: one JSON operation a line in, one JSON reply a
// line out. Two clients that speak this protocol can be held against the same service and compared.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

const longestLine = 1 << 20

func main() {
	if err := converse(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func converse() error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 0, 64<<10), longestLine)
	out := json.NewEncoder(os.Stdout)
	d := &driver{}
	for lines.Scan() {
		var line request
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return fmt.Errorf("not an operation: %w", err)
		}
		if err := out.Encode(d.safe(line)); err != nil {
			return err
		}
	}
	return lines.Err()
}
