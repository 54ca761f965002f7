package cuda

// NewPretending starts a backend on a card of which some attributes are told otherwise: another number of multiprocessors makes it
// choose other blocks, an older level other texts. The card runs them all.
func NewPretending(o Options, attributes map[int]int) (*Backend, error) {
	d, err := openDriver(o.Library)
	if err != nil {
		return nil, err
	}
	return newBackend(&pretender{d, attributes}, o)
}

type pretender struct {
	driver
	attributes map[int]int
}

func (p *pretender) deviceAttribute(attribute, device int) (int, error) {
	if v, ok := p.attributes[attribute]; ok {
		return v, nil
	}
	return p.driver.deviceAttribute(attribute, device)
}

// Attributes that tests tell otherwise.
const (
	AttributeMultiprocessors = attributeMultiprocessors
	AttributeMajor           = attributeMajor
	AttributeMinor           = attributeMinor
	AttributeSharedBytesMax  = attributeSharedBytesMax
)
