package job

import (
	"fmt"
	"regexp"
	"strconv"

	"sluice/internal/failure"
)

// OrdinaryProfile is the profile of a job for which nothing else was said.
const OrdinaryProfile = "ordinary"

// DefaultProfile is what a tenant without an own "ordinary" profile has.
func DefaultProfile() Profile {
	return Profile{
		Name:        OrdinaryProfile,
		JobManager:  Role{CPU: "500m", MemoryMiB: 1024},
		TaskManager: TaskManager{Role: Role{CPU: "1", MemoryMiB: 1728}, Replicas: 1, Slots: 2},
		Parallelism: 2,
	}
}

// Bounds of a profile. Below the lower ones Flink's memory model does not start.
const (
	MinJobManagerMiB  = 640
	MinTaskManagerMiB = 768
	MaxMemoryMiB      = 512 << 10
	MaxReplicas       = 500
	MaxSlots          = 64
)

var cpuQuantity = regexp.MustCompile(`^([1-9][0-9]{0,5}m|[0-9]{1,3}(\.[0-9]{1,3})?)$`)

// Validate lists everything that is wrong with a profile.
func (p Profile) Validate() []failure.Field {
	v := fields{}
	if reason := CheckName(p.Name); reason != "" {
		v.add("/name", reason, "")
	}
	v.role("/jobManager", p.JobManager, MinJobManagerMiB)
	v.role("/taskManager", p.TaskManager.Role, MinTaskManagerMiB)
	v.between("/taskManager/replicas", p.TaskManager.Replicas, 1, MaxReplicas)
	v.between("/taskManager/slots", p.TaskManager.Slots, 1, MaxSlots)
	switch slots := p.Slots(); {
	case p.Parallelism < 1:
		v.add("/parallelism", "must be at least 1", "")
	case slots > 0 && p.Parallelism > slots:
		v.add("/parallelism", fmt.Sprintf("%d is more than the %d slots of %d TaskManagers with %d each", p.Parallelism, slots, p.TaskManager.Replicas, p.TaskManager.Slots),
			"raise replicas or slots, or lower the parallelism")
	}
	return v.found
}

func (v *fields) role(field string, role Role, minimum int) {
	if !cpuQuantity.MatchString(role.CPU) || zero(role.CPU) {
		v.add(field+"/cpu", "is not a positive amount of CPU", `for example "500m" or "2"`)
	}
	v.between(field+"/memoryMiB", role.MemoryMiB, minimum, MaxMemoryMiB)
	if role.JVM != "" && role.JVM != QuickStart && role.JVM != Throughput {
		v.add(field+"/jvm", fmt.Sprintf("%q is not known", role.JVM), fmt.Sprintf("%s or %s, or leave it out", QuickStart, Throughput))
	}
}

func (v *fields) between(field string, value, low, high int) {
	if value < low || value > high {
		v.add(field, fmt.Sprintf("%d is not between %d and %d", value, low, high), "")
	}
}

func zero(cpu string) bool {
	value, err := strconv.ParseFloat(cpu, 64)
	return err == nil && value == 0
}
