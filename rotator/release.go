package rotator

// Release is the version of this source; with -dev behind it, the one that comes next.
// It is in the source, and not given to the linker, so that the same source gives the same
// bytes on every machine. make release holds template, CHANGELOG and tag to it.
const Release = "0.1.0-dev"
