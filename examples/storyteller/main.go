// Storyteller is an ao process in Go: it tells the stories that messages ask it for, with the model of the compute unit
// that evaluates it. Build it with GOOS=wasip1 GOARCH=wasm -buildmode=c-shared; see README.md.
package main

// main is empty: the module is a library whose handle function is called once per message.
func main() {}
