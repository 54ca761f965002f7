package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// The disk that fills up.
const (
	fullDiskBytes = 256 << 20 // compiled modules weigh most
	fillerName    = "filler"
)

// fullDisk runs a unit in a file system that fills up, twice: it must say so, keep what it has, and go on when there is room
// again; and it must survive being killed and started while there is none.
func (s *soak) fullDisk(ctx context.Context) error {
	disk := filepath.Join(s.folder, "small-disk")
	if err := os.MkdirAll(disk, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("soak", disk, "tmpfs", 0, fmt.Sprintf("size=%d", fullDiskBytes)); err != nil {
		fmt.Printf("the disk that fills up: left out (a file system cannot be mounted here: %v)\n", err)
		return nil
	}
	defer syscall.Unmount(disk, syscall.MNT_DETACH)
	u, err := newUnit(s.binary, filepath.Join(disk, "data"), s.world.front.gateway.url, filepath.Join(s.folder, "small-disk.log"))
	if err != nil {
		return err
	}
	r := newRun("the disk that fills up", s.world, u, 1)
	r.expected, r.lenient, r.patience = s.calm.got, true, time.Minute
	s.full = r
	if err := u.start(); err != nil {
		return err
	}
	defer func() { _, _, _ = u.stop(syscall.SIGKILL, time.Minute) }()
	if err := u.await(time.Minute); err != nil {
		return err
	}
	order := sequence(s.world.history.messages, s.seed)[:min(s.calm.reached, 400)]
	asked := 0
	for ; asked < len(order)/3; asked++ {
		m := s.world.history.order[order[asked]]
		r.message(ctx, m.process, m.nonce)
	}
	for round := range 2 {
		if asked, err = s.fill(ctx, r, disk, order, asked, round == 1); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
	}
	for ; asked < len(order); asked++ {
		m := s.world.history.order[order[asked]]
		r.message(ctx, m.process, m.nonce)
	}
	return ctx.Err()
}

// fill leaves no room, asks until the unit cannot go on, and makes room again. It gives how many were asked for.
func (s *soak) fill(ctx context.Context, r *run, disk string, order []int, asked int, kill bool) (int, error) {
	filler := filepath.Join(disk, fillerName)
	if err := fillUp(filler); err != nil {
		return asked, err
	}
	said := ""
	first := asked
	for ; asked < len(order) && said == ""; asked++ {
		m := s.world.history.order[order[asked]]
		if _, err := r.get(ctx, fmt.Sprintf("/result/%s?process-id=%s", m.process.messages[m.nonce], m.process.id)); err != nil {
			said = err.Error()
		}
	}
	if said == "" {
		return asked, errors.New("the unit answers new messages on a full disk")
	}
	if !strings.Contains(said, "no space left") {
		r.differs("without room the unit does not say why it cannot answer: %.300s", said)
	}
	fmt.Printf("the disk that fills up: after %d more messages the unit said: %.200s\n", asked-first, said)
	// What it has it keeps.
	for _, number := range order[:first/2] {
		m := s.world.history.order[number]
		body, err := r.get(ctx, fmt.Sprintf("/result/%s?process-id=%s", m.process.messages[m.nonce], m.process.id))
		if err != nil {
			r.differs("without room the unit does not know an old answer: %v", err)
			break
		}
		r.note(m.process, m.nonce, body, 0)
	}
	if kill {
		if _, _, err := r.unit.stop(syscall.SIGKILL, time.Minute); err != nil {
			return asked, err
		}
		// It may start or say that it cannot; either way nothing is lost.
		if err := r.unit.start(); err != nil {
			return asked, err
		}
		if err := r.unit.await(10 * time.Second); err != nil {
			fmt.Println("the disk that fills up: started without room, the unit ended")
		}
	}
	if err := os.Remove(filler); err != nil {
		return asked, err
	}
	select {
	case <-r.unit.done:
		if err := r.unit.start(); err != nil {
			return asked, err
		}
		if err := r.unit.await(time.Minute); err != nil {
			return asked, err
		}
	default:
	}
	// The one that failed must be answered now, without a restart.
	m := s.world.history.order[order[asked-1]]
	begin := time.Now()
	for {
		body, err := r.get(ctx, fmt.Sprintf("/result/%s?process-id=%s", m.process.messages[m.nonce], m.process.id))
		if err == nil {
			r.note(m.process, m.nonce, body, 0)
			return asked, nil
		}
		if time.Since(begin) > 10*time.Second {
			return asked, fmt.Errorf("there is room again, and the unit does not go on: %w", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// fillUp writes a file until no byte more fits.
func fillUp(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	for piece := make([]byte, 1<<16); len(piece) > 0; {
		if _, err := file.Write(piece); err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				return err
			}
			piece = piece[:len(piece)/2]
		}
	}
	return nil
}
