package main

import (
	"os"

	"verbatim/kernels"
	"verbatim/kernels/cuda"
)

// cards are the machine's graphics cards, as engines.Device wants them.
type cards struct{ cuda.Cards }

// machineCards looks for the driver where VERBATIM_CUDA_LIBRARY says, else where it is installed.
func machineCards() cards { return cards{cuda.Cards{Library: os.Getenv("VERBATIM_CUDA_LIBRARY")}} }

// Start implements engines.Cards.
func (c cards) Start(cards ...int) (kernels.Backend, error) { return c.Open(cards...) }
