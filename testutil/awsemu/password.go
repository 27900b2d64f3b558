package awsemu

import (
	"crypto/rand"
	"math/big"
	"slices"
	"strings"
)

const (
	lowercase   = "abcdefghijklmnopqrstuvwxyz"
	uppercase   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	numbers     = "0123456789"
	punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
)

type getRandomPasswordInput struct {
	PasswordLength          *int64 `check:"min=1 max=4096"`
	ExcludeCharacters       string `check:"len=0-4096"`
	ExcludeNumbers          bool
	ExcludePunctuation      bool
	ExcludeUppercase        bool
	ExcludeLowercase        bool
	IncludeSpace            bool
	RequireEachIncludedType *bool
}

type getRandomPasswordOutput struct{ RandomPassword string }

func (e *Emulator) getRandomPassword(_ *request, in *getRandomPasswordInput) (any, error) {
	length := 32
	if in.PasswordLength != nil {
		length = int(*in.PasswordLength)
	}
	types := in.types()
	all := strings.Join(types, "")
	required := in.RequireEachIncludedType == nil || *in.RequireEachIncludedType
	switch {
	case all == "":
		return nil, refuse(codeInvalidParameter, "There are no characters left to make a password of.")
	case required && slices.Contains(types, ""):
		return nil, refuse(codeInvalidParameter, "ExcludeCharacters leaves no character of a required type.")
	case required && length < len(types):
		return nil, refuse(codeInvalidParameter, "Password length is too short based on the required types.")
	}
	password := make([]byte, 0, length)
	if required {
		for _, t := range types {
			password = append(password, pick(t))
		}
	}
	for len(password) < length {
		password = append(password, pick(all))
	}
	for i := len(password) - 1; i > 0; i-- { // the required ones must not all be in front
		j := below(i + 1)
		password[i], password[j] = password[j], password[i]
	}
	return getRandomPasswordOutput{string(password)}, nil
}

// types is the characters of each type that the input includes.
func (in *getRandomPasswordInput) types() []string {
	var types []string
	for _, t := range [...]struct {
		excluded bool
		letters  string
	}{
		{in.ExcludeLowercase, lowercase}, {in.ExcludeUppercase, uppercase}, {in.ExcludeNumbers, numbers},
		{in.ExcludePunctuation, punctuation}, {!in.IncludeSpace, " "},
	} {
		if !t.excluded {
			types = append(types, without(t.letters, in.ExcludeCharacters))
		}
	}
	return types
}

func without(letters, excluded string) string {
	return strings.Map(func(c rune) rune {
		if strings.ContainsRune(excluded, c) {
			return -1
		}
		return c
	}, letters)
}

func pick(letters string) byte { return letters[below(len(letters))] }

func below(n int) int {
	i, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil { // crypto/rand ends the program before it returns an error
		panic(err)
	}
	return int(i.Int64())
}
