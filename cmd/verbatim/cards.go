package main

import (
	"os"

	"verbatim/kernels/cuda"
)

// machineCards looks for the driver where VERBATIM_CUDA_LIBRARY says, else where it is installed.
func machineCards() cuda.Cards { return cuda.Cards{Library: os.Getenv("VERBATIM_CUDA_LIBRARY")} }
