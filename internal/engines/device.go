package engines

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"verbatim/inference"
	"verbatim/kernels"
	"verbatim/kernels/cpu"
	"verbatim/models"
)

// Device says where engines compute. It changes speed, never a result.
type Device struct {
	Name         string // auto, cpu, cuda, or cuda:N for one of several cards
	Level        string // of the CPU; "" is the best
	Threads      int    // of the CPU; 0: one for each processor
	PrefillChunk int    // tokens; 0: the engine's default
	CacheFolder  string // of weights as kernels/cpu packs them, for the next start; "": every start packs
	Cards        Cards  // nil: the program knows no graphics cards

	room func() bool // says whether it is worth to make room on the cards and try again; nil: it is not
}

// Cards are the graphics cards of this machine.
type Cards interface {
	// Count is how many there are. The error says why there are none.
	Count() (int, error)
	// FreeBytes is the free memory of a card, counted from 0.
	FreeBytes(card int) (int64, error)
	// Start starts a backend on a card, or one that spreads a model over several. The caller closes it.
	Start(cards ...int) (kernels.Backend, error)
}

// cacheMinBytes is the size from which packed weights are kept: packing less takes no time.
const cacheMinBytes = 64 << 20

// prefillChunkCard is how many prompt tokens a card evaluates at once unless the device says otherwise: a pass then costs far
// more than reading the weights.
const prefillChunkCard = 512

// Check refuses a name that is none.
func (d *Device) Check() error {
	if d.Name == "auto" || d.Name == "cpu" {
		return nil
	}
	if _, err := d.card(); err != nil {
		return err
	}
	if d.Cards == nil {
		return fmt.Errorf("device %s: this program has no CUDA backend; use cpu", d.Name)
	}
	return nil
}

// card is the number after cuda, -1 for any.
func (d *Device) card() (int, error) {
	name, number, one := strings.Cut(d.Name, ":")
	if name == "cuda" && !one {
		return -1, nil
	}
	n, err := strconv.Atoi(number)
	if name != "cuda" || err != nil || n < 0 {
		return 0, fmt.Errorf("device %q: it must be auto, cpu, cuda, or cuda:N for card N", d.Name)
	}
	return n, nil
}

// wantsCard says whether models go to a card if they can.
func (d *Device) wantsCard() bool {
	if d.Name != "auto" {
		return d.Name != "cpu"
	}
	if d.Cards == nil {
		return false
	}
	count, err := d.Cards.Count()
	return err == nil && count > 0
}

// Backend starts a backend where models would go. The caller closes it.
func (d *Device) Backend() (kernels.Backend, error) {
	if d.wantsCard() {
		b, err := d.startCard(false)
		if err == nil || d.Name != "auto" {
			return b, err
		}
	}
	return d.CPU()
}

// CPU starts a backend on the CPU. The caller closes it.
func (d *Device) CPU() (*cpu.Backend, error) {
	return cpu.New(cpu.Options{Threads: d.Threads, Level: d.Level})
}

// startCard starts a backend on the card that was asked for, else on the one with the most free memory, or on all.
func (d *Device) startCard(all bool) (kernels.Backend, error) {
	if err := d.Check(); err != nil {
		return nil, err
	}
	var cards []int
	if all {
		for card := range d.spread() {
			cards = append(cards, card)
		}
	} else {
		card, err := d.chooseCard()
		if err != nil {
			return nil, fmt.Errorf("device %s: %w", d.Name, err)
		}
		cards = append(cards, card)
	}
	b, err := d.Cards.Start(cards...)
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", d.Name, err)
	}
	return b, nil
}

// spread is how many cards a model may be spread over, 1 if over none.
func (d *Device) spread() int {
	if d.Name != "auto" && d.Name != "cuda" || d.Cards == nil {
		return 1
	}
	count, err := d.Cards.Count()
	if err != nil {
		return 1
	}
	return count
}

func (d *Device) chooseCard() (int, error) {
	if d.Name != "auto" {
		if card, err := d.card(); err != nil || card >= 0 {
			return card, err
		}
	}
	count, err := d.Cards.Count()
	if err != nil || count == 1 {
		return 0, err
	}
	best, most := 0, int64(-1)
	for card := range count {
		free, err := d.Cards.FreeBytes(card)
		if err != nil {
			return 0, err
		}
		if free > most {
			best, most = card, free
		}
	}
	return best, nil
}

// cardPositionsMin is how many positions of keys and values there must be room for, so that a model is not loaded in vain.
const cardPositionsMin = 2048

func (d *Device) loadCard(ctx context.Context, model *models.Model, all bool) (*Loaded, error) {
	b, err := d.startCard(all)
	if err != nil {
		return nil, err
	}
	o := inference.Options{PrefillChunkTokens: d.PrefillChunk}
	if o.PrefillChunkTokens == 0 {
		o.PrefillChunkTokens = prefillChunkCard
	}
	engine, err := inference.NewEngine(model, b, o)
	if err == nil {
		err = engine.Rehearse(ctx, cardPositionsMin)
	}
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return &Loaded{Engine: engine, Model: model, backend: b, card: true, Warning: model.Release()}, nil
}
