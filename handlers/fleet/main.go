// Reports on a schedule which secrets are not rotated as they should be. It reads no value.
package main

import "github.com/quarterturn-dev/quarterturn/rotator/serve/fleetreport"

func main() {
	fleetreport.Lambda()
}
