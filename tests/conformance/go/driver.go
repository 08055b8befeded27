package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/actions/scaleset"
)

// driver holds the one client, and the one session, that the operations work on.
type driver struct {
	client  *scaleset.Client
	session *scaleset.MessageSessionClient
	options []scaleset.HTTPOption
}

type operation func(ctx context.Context, d *driver, args json.RawMessage) (any, error)

var operations map[string]operation

// init breaks the circle of an operation that runs operations.
func init() {
	operations = map[string]operation{
		"connect":             typed(connect),
		"get_runner_group":    withClient(getRunnerGroup),
		"get_scale_set":       withClient(getScaleSet),
		"get_scale_set_by_id": withClient(getScaleSetByID),
		"create_scale_set":    withClient(createScaleSet),
		"update_scale_set":    withClient(updateScaleSet),
		"delete_scale_set":    withClient(deleteScaleSet),
		"mint":                withClient(mint),
		"get_runner":          withClient(getRunner),
		"get_runner_by_name":  withClient(getRunnerByName),
		"remove_runner":       withClient(removeRunner),
		"open_session":        withClient(openSession),
		"session":             withSession(describeSession),
		"poll":                withSession(poll),
		"acknowledge":         withSession(acknowledge),
		"acquire":             withSession(acquire),
		"close_session":       withSession(closeSession),
		"together":            typed(together),
	}
}

func (d *driver) run(line request) reply {
	run, known := operations[line.Op]
	if !known {
		return reply{ID: line.ID, Error: describe(fmt.Errorf("%w: no operation %q", errUsage, line.Op))}
	}
	limit := struct {
		Timeout float64 `json:"timeout"`
	}{Timeout: 60}
	if err := decode(line.Args, &limit); err != nil {
		return reply{ID: line.ID, Error: describe(err)}
	}
	ctx, cancel := context.WithTimeout(context.Background(), seconds(limit.Timeout))
	defer cancel()
	value, err := run(ctx, d, line.Args)
	if err != nil {
		return reply{ID: line.ID, Error: describe(err)}
	}
	return reply{ID: line.ID, OK: true, Value: value}
}

func decode(args json.RawMessage, into any) error {
	if len(args) == 0 {
		return nil
	}
	if err := json.Unmarshal(args, into); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return nil
}

func seconds(value float64) time.Duration {
	return time.Duration(value * float64(time.Second))
}

// typed decodes an operation's arguments into the type it asks for.
func typed[A any](run func(context.Context, *driver, A) (any, error)) operation {
	return func(ctx context.Context, d *driver, raw json.RawMessage) (any, error) {
		var args A
		if err := decode(raw, &args); err != nil {
			return nil, err
		}
		return run(ctx, d, args)
	}
}

func withClient[A any](run func(context.Context, *driver, A) (any, error)) operation {
	return typed(func(ctx context.Context, d *driver, args A) (any, error) {
		if d.client == nil {
			return nil, fmt.Errorf("%w: connect first", errUsage)
		}
		return run(ctx, d, args)
	})
}

func withSession[A any](run func(context.Context, *driver, A) (any, error)) operation {
	return typed(func(ctx context.Context, d *driver, args A) (any, error) {
		if d.session == nil {
			return nil, fmt.Errorf("%w: open a session first", errUsage)
		}
		return run(ctx, d, args)
	})
}

type connectArgs struct {
	ConfigURL string `json:"config_url"`
	Token     string `json:"token"`
	App       *struct {
		ClientID       string `json:"client_id"`
		InstallationID int64  `json:"installation_id"`
		PrivateKey     string `json:"private_key"`
	} `json:"app"`
	RetryMax     *int     `json:"retry_max"`
	RetryWaitMax *float64 `json:"retry_wait_max"`
	ReadTimeout  *float64 `json:"read_timeout"`
}

func connect(_ context.Context, d *driver, args connectArgs) (any, error) {
	d.options = nil
	if args.RetryMax != nil {
		d.options = append(d.options, scaleset.WithRetryMax(*args.RetryMax))
	}
	if args.RetryWaitMax != nil {
		d.options = append(d.options, scaleset.WithRetryWaitMax(seconds(*args.RetryWaitMax)))
	}
	if args.ReadTimeout != nil {
		d.options = append(d.options, scaleset.WithTimeout(seconds(*args.ReadTimeout)))
	}
	system := scaleset.SystemInfo{System: "scaleset-burst-conformance", Version: "1", Subsystem: "conformance"}
	var err error
	if args.App != nil {
		d.client, err = scaleset.NewClientWithGitHubApp(scaleset.ClientWithGitHubAppConfig{
			GitHubConfigURL: args.ConfigURL,
			GitHubAppAuth: scaleset.GitHubAppAuth{
				ClientID:       args.App.ClientID,
				InstallationID: args.App.InstallationID,
				PrivateKey:     args.App.PrivateKey,
			},
			SystemInfo: system,
		}, d.options...)
	} else {
		d.client, err = scaleset.NewClientWithPersonalAccessToken(scaleset.NewClientWithPersonalAccessTokenConfig{
			GitHubConfigURL:     args.ConfigURL,
			PersonalAccessToken: args.Token,
			SystemInfo:          system,
		}, d.options...)
	}
	return nil, err
}

type nameArgs struct {
	Name string `json:"name"`
}

type idArgs struct {
	ID int `json:"id"`
}

func getRunnerGroup(ctx context.Context, d *driver, args nameArgs) (any, error) {
	group, err := d.client.GetRunnerGroupByName(ctx, args.Name)
	if err != nil || group == nil {
		return nil, err
	}
	return groupValue{ID: group.ID, Name: group.Name, Size: group.Size, IsDefault: group.IsDefault}, nil
}

type scaleSetArgs struct {
	ID            int          `json:"id"`
	Name          string       `json:"name"`
	RunnerGroupID int          `json:"runner_group_id"`
	Labels        []labelValue `json:"labels"`
	DisableUpdate bool         `json:"disable_update"`
}

func (a scaleSetArgs) scaleSet() *scaleset.RunnerScaleSet {
	set := &scaleset.RunnerScaleSet{
		Name:          a.Name,
		RunnerGroupID: a.RunnerGroupID,
		RunnerSetting: scaleset.RunnerSetting{DisableUpdate: a.DisableUpdate},
	}
	for _, label := range a.Labels {
		set.Labels = append(set.Labels, scaleset.Label{Name: label.Name, Type: label.Type})
	}
	return set
}

func getScaleSet(ctx context.Context, d *driver, args scaleSetArgs) (any, error) {
	set, err := d.client.GetRunnerScaleSet(ctx, args.RunnerGroupID, args.Name)
	return orNothing(scaleSetOf(set)), err
}

func getScaleSetByID(ctx context.Context, d *driver, args idArgs) (any, error) {
	set, err := d.client.GetRunnerScaleSetByID(ctx, args.ID)
	return orNothing(scaleSetOf(set)), err
}

func createScaleSet(ctx context.Context, d *driver, args scaleSetArgs) (any, error) {
	set, err := d.client.CreateRunnerScaleSet(ctx, args.scaleSet())
	return orNothing(scaleSetOf(set)), err
}

func updateScaleSet(ctx context.Context, d *driver, args scaleSetArgs) (any, error) {
	set, err := d.client.UpdateRunnerScaleSet(ctx, args.ID, args.scaleSet())
	return orNothing(scaleSetOf(set)), err
}

func deleteScaleSet(ctx context.Context, d *driver, args idArgs) (any, error) {
	return nil, d.client.DeleteRunnerScaleSet(ctx, args.ID)
}

type mintArgs struct {
	ScaleSetID int    `json:"scale_set_id"`
	Name       string `json:"name"`
	WorkFolder string `json:"work_folder"`
}

func mint(ctx context.Context, d *driver, args mintArgs) (any, error) {
	setting := &scaleset.RunnerScaleSetJitRunnerSetting{Name: args.Name, WorkFolder: args.WorkFolder}
	config, err := d.client.GenerateJitRunnerConfig(ctx, setting, args.ScaleSetID)
	if err != nil {
		return nil, err
	}
	if config.Runner == nil {
		return nil, errors.New("the answer names no runner")
	}
	return mintedValue{Runner: *runnerOf(config.Runner), Encoded: config.EncodedJITConfig}, nil
}

func getRunner(ctx context.Context, d *driver, args idArgs) (any, error) {
	runner, err := d.client.GetRunner(ctx, args.ID)
	return orNothing(runnerOf(runner)), err
}

func getRunnerByName(ctx context.Context, d *driver, args nameArgs) (any, error) {
	runner, err := d.client.GetRunnerByName(ctx, args.Name)
	return orNothing(runnerOf(runner)), err
}

func removeRunner(ctx context.Context, d *driver, args idArgs) (any, error) {
	return nil, d.client.RemoveRunner(ctx, int64(args.ID))
}

// orNothing turns a typed nil pointer into a plain nil, which prints as nothing.
func orNothing[V any](value *V) any {
	if value == nil {
		return nil
	}
	return value
}

// safe keeps a panic of the client from ending the conversation.
func (d *driver) safe(line request) (answer reply) {
	defer func() {
		if cause := recover(); cause != nil {
			answer = reply{ID: line.ID, Error: &failure{Kind: "panic", Message: strings.TrimSpace(fmt.Sprint(cause))}}
		}
	}()
	return d.run(line)
}

type togetherArgs struct {
	Ops []request `json:"ops"`
}

// together runs operations at once; what failed is said by one word in its place.
func together(_ context.Context, d *driver, args togetherArgs) (any, error) {
	values := make([]any, len(args.Ops))
	var running sync.WaitGroup
	for place, op := range args.Ops {
		running.Go(func() {
			answer := d.safe(op)
			if values[place] = answer.Value; !answer.OK {
				values[place] = "failed"
			}
		})
	}
	running.Wait()
	return values, nil
}
