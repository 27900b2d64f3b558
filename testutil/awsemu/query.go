package awsemu

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// formType is the content type of the query protocol, which STS, IAM and RDS speak.
const formType = "application/x-www-form-urlencoded"

// readForm turns the query protocol into an operation and the JSON of its input.
func readForm(body []byte) (operation string, input []byte) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return "", nil
	}
	in := map[string]any{}
	for key := range form {
		plant(in, strings.Split(key, "."), form.Get(key))
	}
	input, _ = json.Marshal(lists(in)) // strings always encode
	return form.Get("Action"), input
}

// plant puts a value into a tree: Tags.member.1.Key.
func plant(in map[string]any, path []string, value string) {
	if len(path) == 1 {
		in[path[0]] = value
		return
	}
	branch, ok := in[path[0]].(map[string]any)
	if !ok {
		branch = map[string]any{}
		in[path[0]] = branch
	}
	plant(branch, path[1:], value)
}

// lists turns {"member": {"1": a, "2": b}} into [a, b].
func lists(node any) any {
	tree, ok := node.(map[string]any)
	if !ok {
		return node
	}
	if items, ok := tree["member"].(map[string]any); ok && len(tree) == 1 {
		var list []any
		for i := 1; items[strconv.Itoa(i)] != nil; i++ {
			list = append(list, lists(items[strconv.Itoa(i)]))
		}
		return list
	}
	for key, branch := range tree {
		tree[key] = lists(branch)
	}
	return tree
}

// encodeXML wraps an answer as the query protocol does.
func (s service) encodeXML(operation string, out any) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<%sResponse xmlns="%s">`, operation, s.space)
	err := xml.NewEncoder(&b).EncodeElement(out, xml.StartElement{Name: xml.Name{Local: operation + "Result"}})
	fmt.Fprintf(&b, `<ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></%sResponse>`, newUUID(), operation)
	return b.Bytes(), err
}

type errorResponse struct {
	XMLName   xml.Name
	Type      string `xml:"Error>Type"`
	Code      string `xml:"Error>Code"`
	Message   string `xml:"Error>Message"`
	RequestId string
}

// errorXML gives an error's body and status, which these services choose by its kind.
func (s service) errorXML(err *apiError, id string) ([]byte, int) {
	kind, status := "Sender", err.Status
	switch {
	case status == http.StatusNotFound: // of an action that is not there
		status = http.StatusBadRequest
	case status == http.StatusInternalServerError:
		kind = "Receiver"
	case slices.Contains([]string{codeNoEntity, codeNoInstance, codeNoCluster}, err.Code):
		status = http.StatusNotFound
	case slices.Contains([]string{"AccessDenied", "ExpiredToken", "InvalidClientTokenId", "MissingAuthenticationToken"},
		err.Code):
		status = http.StatusForbidden
	}
	name := xml.Name{Space: s.space, Local: "ErrorResponse"}
	// strings always encode
	body, _ := xml.Marshal(errorResponse{XMLName: name, Type: kind, Code: err.Code, Message: err.Message,
		RequestId: id})
	return body, status
}
