package api

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"verbatim/cu"
)

// Metrics counts what a unit and its server do. Give Observe to the unit's configuration.
type Metrics struct {
	registry       *prometheus.Registry
	evaluations    *prometheus.CounterVec
	seconds        *prometheus.HistogramVec
	tokens         *prometheus.CounterVec
	inferences     *prometheus.CounterVec
	gas            *prometheus.CounterVec
	requests       prometheus.Gauge
	requestSeconds *prometheus.HistogramVec

	// The same under the names of the reference, for dashboards that know them.
	aoEvaluations *prometheus.CounterVec
	aoSeconds     *prometheus.HistogramVec
	aoSummary     *prometheus.SummaryVec
}

// NewMetrics gives metrics that are all zero.
func NewMetrics() *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		evaluations: counter("verbatim_cu_evaluations_total",
			"Evaluations done. Kind: message, cron, dry_run, or recovery (done again from the log). Outcome: ok, or error for a result with an Error.", "kind", "outcome"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "verbatim_cu_evaluation_seconds", Help: "Duration of evaluations, inferences included.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 10),
		}, []string{"kind"}),
		tokens:     counter("verbatim_cu_tokens_total", "Output tokens of inferences.", "kind"),
		inferences: counter("verbatim_cu_inferences_total", "Inferences asked for by processes, refused ones included.", "kind"),
		gas:        counter("verbatim_cu_gas_total", "Gas used by evaluations.", "kind"),
		requests:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "verbatim_http_requests_in_flight", Help: "HTTP requests under way."}),
		requestSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "verbatim_http_request_seconds", Help: "Duration of HTTP requests.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 10),
		}, []string{"method", "route", "status"}),
	}
	aoLabels := []string{"method", "route", "status", "statusGroup"}
	m.aoEvaluations = counter("ao_cu_ao_process_total_evaluations", "Evaluations done, as the reference counts them.", "stream_type", "message_type", "process_error")
	m.aoSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "ao_cu_http_request_duration_seconds", Help: "Request duration in seconds.", Buckets: []float64{0.5, 1, 3, 5, 10, 30},
	}, aoLabels)
	m.aoSummary = prometheus.NewSummaryVec(prometheus.SummaryOpts{
		Name: "ao_cu_http_request_summary_seconds", Help: "Request duration in seconds, in quantiles.", Objectives: map[float64]float64{0.5: 0.05, 0.9: 0.01, 0.99: 0.001},
	}, aoLabels)
	m.registry.MustRegister(m.aoEvaluations, m.aoSeconds, m.aoSummary, m.evaluations, m.seconds, m.tokens, m.inferences, m.gas, m.requests, m.requestSeconds,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// watch adds the load of a unit, as it is when somebody asks.
func (m *Metrics) watch(u *cu.Unit) {
	gauge := func(name, help string, of func() float64) {
		m.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, of))
	}
	gauge("verbatim_cu_processes", "Processes whose memory is at hand.", func() float64 { return float64(u.Load().Processes) })
	gauge("verbatim_cu_processes_evaluating", "Processes with evaluations to do.", func() float64 { return float64(u.Load().Evaluating) })
	gauge("verbatim_cu_dry_runs", "Dry runs under way.", func() float64 { return float64(u.Load().DryRuns) })
	gauge("verbatim_cu_memory_bytes", "Memories of processes that are at hand.", func() float64 { return float64(u.Load().MemoryBytes) })
	gauge("verbatim_log_receipts", "Receipts in the log.", func() float64 { return float64(u.Head().Receipts) })
	gauge("verbatim_log_bytes", "Size of the log.", func() float64 { return float64(u.Head().Bytes) })
}

// Register adds metrics that others count.
func (m *Metrics) Register(others ...prometheus.Collector) { m.registry.MustRegister(others...) }

// Observe counts an evaluation.
func (m *Metrics) Observe(o cu.Observation) {
	m.observeAO(o)
	kind, outcome := "message", "ok"
	switch {
	case o.DryRun:
		kind = "dry_run"
	case o.Recovery:
		kind = "recovery"
	case o.Cron:
		kind = "cron"
	}
	if o.Failed {
		outcome = "error"
	}
	m.evaluations.WithLabelValues(kind, outcome).Inc()
	m.seconds.WithLabelValues(kind).Observe(o.Duration.Seconds())
	m.tokens.WithLabelValues(kind).Add(float64(o.Tokens))
	m.inferences.WithLabelValues(kind).Add(float64(o.Inferences))
	m.gas.WithLabelValues(kind).Add(float64(o.Gas))
}

// observeAO counts an evaluation as the reference does. What is done again counts again there.
func (m *Metrics) observeAO(o cu.Observation) {
	stream, kind := "primary", "scheduled"
	switch {
	case o.DryRun:
		stream, kind = "dry-run", "dry-run"
	case o.Cron:
		kind = "cron"
	case o.Assigned:
		kind = "assignment"
	}
	m.aoEvaluations.WithLabelValues(stream, kind, strconv.FormatBool(o.Failed)).Inc()
}

func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}
