// Command peer mints with the official client: as many goroutines as our concurrency, over one client or over one each.
package main

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/actions/scaleset"
)

type order struct {
	Do          string  `json:"do"`
	ConfigURL   string  `json:"config_url"`
	Token       string  `json:"token"`
	ScaleSet    string  `json:"scale_set"`
	Concurrency int     `json:"concurrency"`
	CAFile      *string `json:"ca_file"`
	Count       int     `json:"count"`
	Interval    float64 `json:"interval"`
	One         bool    `json:"one"`
}

type result struct {
	Seconds   float64 `json:"seconds"`
	CPU       float64 `json:"cpu"`
	First     float64 `json:"first"`
	Delivered int64   `json:"delivered"`
	Bytes     int64   `json:"bytes"`
	PeakKiB   int64   `json:"peak_kib"`
	Error     string  `json:"error"`
}

type peer struct {
	clients []*scaleset.Client
	workers int
	id      int
	serial  atomic.Int64
}

func main() {
	if err := converse(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func converse() error {
	lines := bufio.NewScanner(os.Stdin)
	p := &peer{}
	for lines.Scan() {
		var o order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return err
		}
		if o.Do == "end" {
			break
		}
		before, start := usage(), time.Now()
		r := &result{}
		if err := p.run(o, r, start); err != nil {
			if o.Do == "connect" {
				return err
			}
			r.Error = err.Error()
		}
		after := usage()
		r.Seconds = time.Since(start).Seconds()
		r.CPU = seconds(after.Utime) + seconds(after.Stime) - seconds(before.Utime) - seconds(before.Stime)
		r.PeakKiB = peak()
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (p *peer) run(o order, r *result, start time.Time) error {
	switch o.Do {
	case "connect":
		return p.connect(o)
	case "trickle":
		for range o.Count {
			next := time.Now().Add(time.Duration(o.Interval * float64(time.Second)))
			if err := p.flood(1, r, start); err != nil {
				return err
			}
			time.Sleep(time.Until(next))
		}
		return nil
	default:
		return p.flood(o.Count, r, start)
	}
}

func (p *peer) connect(o order) error {
	var options []scaleset.HTTPOption
	if o.CAFile != nil {
		pem, err := os.ReadFile(*o.CAFile)
		if err != nil {
			return err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		options = append(options, scaleset.WithRootCAs(roots))
	}
	p.workers = o.Concurrency
	count := o.Concurrency
	if o.One {
		count = 1
	}
	for range count {
		c, err := scaleset.NewClientWithPersonalAccessToken(scaleset.NewClientWithPersonalAccessTokenConfig{
			GitHubConfigURL: o.ConfigURL, PersonalAccessToken: o.Token, SystemInfo: scaleset.SystemInfo{System: "bench"},
		}, options...)
		if err != nil {
			return err
		}
		p.clients = append(p.clients, c)
	}
	found, err := p.clients[0].GetRunnerScaleSet(context.Background(), 1, o.ScaleSet)
	if err != nil {
		return err
	}
	p.id = found.ID
	return nil
}

func (p *peer) flood(count int, r *result, start time.Time) error {
	var left, delivered, size, first atomic.Int64
	left.Store(int64(count))
	failures := make(chan error, p.workers)
	var group sync.WaitGroup
	for worker := range min(p.workers, count) {
		client := p.clients[worker%len(p.clients)]
		group.Go(func() {
			for left.Add(-1) >= 0 {
				name := fmt.Sprintf("bench-%d", p.serial.Add(1))
				made, err := client.GenerateJitRunnerConfig(context.Background(),
					&scaleset.RunnerScaleSetJitRunnerSetting{Name: name, WorkFolder: "_work"}, p.id)
				if err != nil {
					failures <- err
					return
				}
				if delivered.Add(1) == 1 {
					first.Store(int64(time.Since(start)))
				}
				size.Add(int64(len(made.EncodedJITConfig)))
			}
		})
	}
	group.Wait()
	r.Delivered += delivered.Load()
	r.Bytes += size.Load()
	if r.First == 0 {
		r.First = time.Duration(first.Load()).Seconds()
	}
	select {
	case err := <-failures:
		return err
	default:
		return nil
	}
}

func usage() syscall.Rusage {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u
}

// peak returns the peak of this program alone; getrusage counts what the parent had when it forked.
func peak() int64 {
	var kib int64
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	if _, rest, found := strings.Cut(string(status), "VmHWM:"); found {
		_, _ = fmt.Sscan(rest, &kib)
	}
	return kib
}

func seconds(t syscall.Timeval) float64 {
	return float64(t.Sec) + float64(t.Usec)/1e6
}
