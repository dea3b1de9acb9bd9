package api

import (
	"context"

	"sluice/api/internal/gen"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/store"
)

// PutProfile writes a profile.
func (a *API) PutProfile(ctx context.Context, request gen.PutProfileRequestObject) (gen.PutProfileResponseObject, error) {
	profile := toProfile(request.Profile, *request.Body)
	if wrong := profile.Validate(); len(wrong) > 0 {
		return nil, failure.New(failure.Invalid, "profile %q is not valid: %d fields", request.Profile, len(wrong)).
			WithFields(wrong...).WithNext("correct the fields listed and send it again; nothing was changed")
	}
	created, err := a.store.PutProfile(ctx, request.Tenant, profile, caller(ctx).Subject)
	if err != nil {
		return nil, err
	}
	written, err := a.store.Profile(ctx, request.Tenant, profile.Name)
	if err != nil {
		return nil, err
	}
	if created {
		return gen.PutProfile201JSONResponse(fromProfile(written)), nil
	}
	return gen.PutProfile200JSONResponse(fromProfile(written)), nil
}

// GetProfile reads a profile.
func (a *API) GetProfile(ctx context.Context, request gen.GetProfileRequestObject) (gen.GetProfileResponseObject, error) {
	found, err := a.store.Profile(ctx, request.Tenant, request.Profile)
	if err != nil {
		return nil, err
	}
	return gen.GetProfile200JSONResponse(fromProfile(found)), nil
}

// ListProfiles lists the tenant's profiles.
func (a *API) ListProfiles(ctx context.Context, request gen.ListProfilesRequestObject) (gen.ListProfilesResponseObject, error) {
	found, err := a.store.Profiles(ctx, request.Tenant)
	if err != nil {
		return nil, err
	}
	list := gen.ProfileList{Items: make([]gen.Profile, len(found))}
	for i, profile := range found {
		list.Items[i] = fromProfile(profile)
	}
	return gen.ListProfiles200JSONResponse(list), nil
}

func toProfile(name string, body gen.ProfileBody) job.Profile {
	return job.Profile{
		Name:       name,
		JobManager: job.Role{CPU: body.JobManager.CPU, MemoryMiB: body.JobManager.MemoryMiB, JVM: job.JVM(body.JobManager.Jvm)},
		TaskManager: job.TaskManager{
			Role:     job.Role{CPU: body.TaskManager.CPU, MemoryMiB: body.TaskManager.MemoryMiB, JVM: job.JVM(body.TaskManager.Jvm)},
			Replicas: body.TaskManager.Replicas, Slots: body.TaskManager.Slots,
		},
		Parallelism: body.Parallelism,
	}
}

func fromProfile(p store.Profile) gen.Profile {
	return gen.Profile{
		Name:       p.Name,
		JobManager: gen.Role{CPU: p.Body.JobManager.CPU, MemoryMiB: p.Body.JobManager.MemoryMiB, Jvm: string(p.Body.JobManager.JVM)},
		TaskManager: gen.TaskManager{
			CPU: p.Body.TaskManager.CPU, MemoryMiB: p.Body.TaskManager.MemoryMiB, Jvm: string(p.Body.TaskManager.JVM),
			Replicas: p.Body.TaskManager.Replicas, Slots: p.Body.TaskManager.Slots,
		},
		Parallelism: p.Body.Parallelism, BuiltIn: p.BuiltIn, UpdatedAt: p.UpdatedAt, UpdatedBy: p.UpdatedBy,
	}
}
