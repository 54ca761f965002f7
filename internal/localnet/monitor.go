package localnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
	"verbatim/internal/durable"
	"verbatim/internal/fetch"
)

// This file sends on what monitored processes send when their crons run: nobody asks for the results of crons, so the
// messenger does, again and again.

const (
	monitorEvery = 10 * time.Second // between two looks at the crons of a process
	cronsPerPage = 50
)

// monitors are the monitored processes, each with the cursor of the cron that was sent on last. They are in monitors.json,
// which is whole at any time.
type monitors struct {
	path    string
	every   time.Duration
	cursors map[ao.ID]string // "": none yet
	stop    map[ao.ID]context.CancelFunc
}

func openMonitors(folder string) (monitors, error) {
	w := monitors{filepath.Join(folder, "monitors.json"), monitorEvery, map[ao.ID]string{}, map[ao.ID]context.CancelFunc{}}
	text, err := os.ReadFile(w.path)
	if errors.Is(err, os.ErrNotExist) {
		return w, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &w.cursors)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", w.path, err)
	}
	return w, err
}

func (w *monitors) save() error {
	return durable.Write(w.path, 0o644, func(to io.Writer) error { return json.NewEncoder(to).Encode(w.cursors) })
}

// postMonitor takes a signed request to monitor a process, or to stop it. The request's target is the process.
func (n *Network) postMonitor(w http.ResponseWriter, r *http.Request) {
	process, err := ao.ParseID(r.PathValue("process"))
	if err == nil {
		err = n.checkRequest(r, process)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	said := "Monitoring process"
	if r.Method == http.MethodDelete {
		said = "Process deleted"
		err = n.messenger.unmonitor(process)
	} else {
		err = n.messenger.monitor(process)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	fmt.Fprint(w, said)
}

// checkRequest makes sure that the body is a signed item which names the process, and that the process is here.
func (n *Network) checkRequest(r *http.Request, process ao.ID) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, messageBytesMax+1))
	if err != nil {
		return err
	}
	if len(body) > messageBytesMax {
		return fmt.Errorf("item of more than %d bytes is %w", messageBytesMax, errTooLarge)
	}
	item, err := dataitem.Parse(body)
	if err == nil {
		err = item.Verify()
	}
	if err != nil {
		return err
	}
	if len(item.Target) > 0 && ao.ID(item.Target) != process {
		return fmt.Errorf("%w: the signed request is for process %s, not for %s", errNotAO, item.TargetText(), process)
	}
	if !n.plans.has(process) {
		return fmt.Errorf("process %s: %w", process, errNotStored)
	}
	return nil
}

// monitor begins to look at the crons of a process, now and after each start. Twice is the same as once.
func (m *messenger) monitor(process ao.ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, already := m.monitors.cursors[process]; already {
		return nil
	}
	m.monitors.cursors[process] = ""
	if err := m.monitors.save(); err != nil {
		delete(m.monitors.cursors, process)
		return err
	}
	m.startMonitor(process)
	return nil
}

func (m *messenger) unmonitor(process ao.ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	cursor, there := m.monitors.cursors[process]
	if !there {
		return fmt.Errorf("monitor of process %s: %w", process, errNotStored)
	}
	delete(m.monitors.cursors, process)
	if err := m.monitors.save(); err != nil {
		m.monitors.cursors[process] = cursor
		return err
	}
	if stop := m.monitors.stop[process]; stop != nil {
		stop()
		delete(m.monitors.stop, process)
	}
	return nil
}

// startMonitor has someone look at the crons of a process, if there is a compute unit to ask. The caller holds the lock.
func (m *messenger) startMonitor(process ao.ID) {
	if m.cu == "" || m.monitors.stop[process] != nil || m.ctx.Err() != nil {
		return
	}
	ctx, stop := context.WithCancel(m.ctx)
	m.monitors.stop[process] = stop
	m.running.Add(1)
	go func() {
		defer m.running.Done()
		defer stop()
		ticks := time.NewTicker(m.monitors.every)
		defer ticks.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticks.C:
			}
			if err := m.pushCrons(ctx, process); err != nil && ctx.Err() == nil {
				m.network.log("crons of process %s: %v", process, err)
			}
		}
	}()
}

// page is a page of results.
type page struct {
	PageInfo struct{ HasNextPage bool }
	Edges    []struct {
		Node   outResult
		Cursor string
	}
}

func (m *messenger) page(ctx context.Context, path string, query url.Values) (read page, err error) {
	m.mu.Lock()
	address := m.cu + path + "?" + query.Encode()
	m.mu.Unlock()
	body, err := m.fetch.Bytes(ctx, fetch.Request{Method: http.MethodGet, URL: address, BytesMax: resultBytesMax})
	if err != nil {
		return read, err
	}
	if err := json.Unmarshal(body, &read); err != nil {
		return read, fmt.Errorf("GET %s: %w", address, err)
	}
	return read, nil
}

// pushCrons sends on what crons of a process sent since the last time. The first time begins after the last result that the
// compute unit has.
//
// A crash before the cursor is on disk has the same sent on again: the scheduler knows the items already.
func (m *messenger) pushCrons(ctx context.Context, process ao.ID) error {
	m.mu.Lock()
	cursor := m.monitors.cursors[process]
	m.mu.Unlock()
	if cursor == "" {
		last, err := m.page(ctx, "/results/"+process.String(), url.Values{"sort": {"DESC"}, "limit": {"1"}})
		if err != nil {
			return err
		}
		if len(last.Edges) > 0 {
			cursor = last.Edges[0].Cursor
			if err := m.setCursor(process, cursor); err != nil {
				return err
			}
		}
	}
	for more := true; more; {
		query := url.Values{"limit": {strconv.Itoa(cronsPerPage)}}
		if cursor != "" {
			query.Set("from", cursor)
		}
		crons, err := m.page(ctx, "/cron/"+process.String(), query)
		if err != nil {
			return err
		}
		for _, edge := range crons.Edges {
			if err := m.sendOn(task{Process: process}, edge.Node); err != nil {
				m.network.log("push what a cron of process %s sent: %v", process, err)
			}
			cursor = edge.Cursor
		}
		if len(crons.Edges) > 0 {
			if err := m.setCursor(process, cursor); err != nil {
				return err
			}
		}
		more = crons.PageInfo.HasNextPage && len(crons.Edges) > 0 && ctx.Err() == nil
	}
	return nil
}

// setCursor keeps how far the crons of a process have been sent on, if it is still monitored.
func (m *messenger) setCursor(process ao.ID, cursor string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, there := m.monitors.cursors[process]; !there {
		return nil
	}
	m.monitors.cursors[process] = cursor
	return m.monitors.save()
}
