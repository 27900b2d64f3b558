package awsemu

// OperationCount is how many operations the emulator offers.
var OperationCount = len(operations)
