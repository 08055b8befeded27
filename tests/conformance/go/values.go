package main

import "github.com/actions/scaleset"

// The values below are what both drivers print: the same keys for the same things, nothing about the wire.

type groupValue struct {
	ID        int    `json:"id"`
	Name      string `json:"name"`
	Size      int    `json:"size"`
	IsDefault bool   `json:"is_default"`
}

type labelValue struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

type scaleSetValue struct {
	ID              int          `json:"id"`
	Name            string       `json:"name"`
	RunnerGroupID   int          `json:"runner_group_id"`
	RunnerGroupName string       `json:"runner_group_name"`
	Labels          []labelValue `json:"labels"`
	DisableUpdate   bool         `json:"disable_update"`
}

type runnerValue struct {
	ID         int    `json:"id"`
	Name       string `json:"name"`
	ScaleSetID int    `json:"scale_set_id"`
}

type mintedValue struct {
	Runner  runnerValue `json:"runner"`
	Encoded string      `json:"encoded_jit_config"`
}

type statisticsValue struct {
	AvailableJobs     int `json:"available_jobs"`
	AcquiredJobs      int `json:"acquired_jobs"`
	AssignedJobs      int `json:"assigned_jobs"`
	RunningJobs       int `json:"running_jobs"`
	RegisteredRunners int `json:"registered_runners"`
	BusyRunners       int `json:"busy_runners"`
	IdleRunners       int `json:"idle_runners"`
}

type sessionValue struct {
	ID         string          `json:"id"`
	Owner      string          `json:"owner"`
	Statistics statisticsValue `json:"statistics"`
}

type jobValue struct {
	Kind       string `json:"kind"`
	RequestID  int64  `json:"request_id"`
	JobID      string `json:"job_id"`
	RunnerID   int    `json:"runner_id"`
	RunnerName string `json:"runner_name"`
	Result     string `json:"result"`
}

type messageValue struct {
	ID         int             `json:"id"`
	Statistics statisticsValue `json:"statistics"`
	Events     []jobValue      `json:"events"`
}

func scaleSetOf(set *scaleset.RunnerScaleSet) *scaleSetValue {
	if set == nil {
		return nil
	}
	labels := make([]labelValue, 0, len(set.Labels))
	for _, label := range set.Labels {
		labels = append(labels, labelValue{Name: label.Name, Type: label.Type})
	}
	return &scaleSetValue{
		ID:              set.ID,
		Name:            set.Name,
		RunnerGroupID:   set.RunnerGroupID,
		RunnerGroupName: set.RunnerGroupName,
		Labels:          labels,
		DisableUpdate:   set.RunnerSetting.DisableUpdate,
	}
}

func runnerOf(runner *scaleset.RunnerReference) *runnerValue {
	if runner == nil {
		return nil
	}
	return &runnerValue{ID: runner.ID, Name: runner.Name, ScaleSetID: runner.RunnerScaleSetID}
}

func statisticsOf(s *scaleset.RunnerScaleSetStatistic) statisticsValue {
	if s == nil {
		return statisticsValue{}
	}
	return statisticsValue{
		AvailableJobs:     s.TotalAvailableJobs,
		AcquiredJobs:      s.TotalAcquiredJobs,
		AssignedJobs:      s.TotalAssignedJobs,
		RunningJobs:       s.TotalRunningJobs,
		RegisteredRunners: s.TotalRegisteredRunners,
		BusyRunners:       s.TotalBusyRunners,
		IdleRunners:       s.TotalIdleRunners,
	}
}

func messageOf(message *scaleset.RunnerScaleSetMessage) *messageValue {
	if message == nil {
		return nil
	}
	value := &messageValue{ID: message.MessageID, Statistics: statisticsOf(message.Statistics), Events: []jobValue{}}
	for _, job := range message.JobAvailableMessages {
		value.Events = append(value.Events, jobValue{Kind: "available", RequestID: job.RunnerRequestID, JobID: job.JobID})
	}
	for _, job := range message.JobAssignedMessages {
		value.Events = append(value.Events, jobValue{Kind: "assigned", RequestID: job.RunnerRequestID, JobID: job.JobID})
	}
	for _, job := range message.JobStartedMessages {
		value.Events = append(value.Events, jobValue{
			Kind: "started", RequestID: job.RunnerRequestID, JobID: job.JobID,
			RunnerID: job.RunnerID, RunnerName: job.RunnerName,
		})
	}
	for _, job := range message.JobCompletedMessages {
		value.Events = append(value.Events, jobValue{
			Kind: "completed", RequestID: job.RunnerRequestID, JobID: job.JobID,
			RunnerID: job.RunnerID, RunnerName: job.RunnerName, Result: job.Result,
		})
	}
	return value
}
