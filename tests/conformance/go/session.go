package main

import (
	"context"

	"github.com/actions/scaleset"
)

type openArgs struct {
	ScaleSetID int    `json:"scale_set_id"`
	Owner      string `json:"owner"`
}

func openSession(ctx context.Context, d *driver, args openArgs) (any, error) {
	session, err := d.client.MessageSessionClient(ctx, args.ScaleSetID, args.Owner, d.options...)
	if err != nil {
		return nil, err
	}
	d.session = session
	return sessionOf(session.Session()), nil
}

func describeSession(_ context.Context, d *driver, _ struct{}) (any, error) {
	return sessionOf(d.session.Session()), nil
}

func sessionOf(session scaleset.RunnerScaleSetSession) sessionValue {
	return sessionValue{
		ID:         session.SessionID.String(),
		Owner:      session.OwnerName,
		Statistics: statisticsOf(session.Statistics),
	}
}

type pollArgs struct {
	LastMessageID int `json:"last_message_id"`
	Capacity      int `json:"capacity"`
}

func poll(ctx context.Context, d *driver, args pollArgs) (any, error) {
	message, err := d.session.GetMessage(ctx, args.LastMessageID, args.Capacity)
	return orNothing(messageOf(message)), err
}

type acknowledgeArgs struct {
	MessageID int `json:"message_id"`
}

func acknowledge(ctx context.Context, d *driver, args acknowledgeArgs) (any, error) {
	return nil, d.session.DeleteMessage(ctx, args.MessageID)
}

type acquireArgs struct {
	RequestIDs []int64 `json:"request_ids"`
}

func acquire(ctx context.Context, d *driver, args acquireArgs) (any, error) {
	ids, err := d.session.AcquireJobs(ctx, args.RequestIDs)
	if err != nil {
		return nil, err
	}
	return ids, nil
}

func closeSession(ctx context.Context, d *driver, _ struct{}) (any, error) {
	session := d.session
	d.session = nil
	return nil, session.Close(ctx)
}
