// The other side of the differential test of structured-merge-diff: runs each case that comes in on a line with Go's
// library, and answers it on a line.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/merge"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// testCase is what comes in: types, and what is done with values of them, in order.
type testCase struct {
	Schema json.RawMessage `json:"schema"`
	// Versions names the type of the objects of each version. None: all are deduced.
	Versions map[string]string `json:"versions"`
	Ignored  map[string]filter `json:"ignored"`
	Ops      []operation       `json:"ops"`
}

type filter struct {
	Exclude string     `json:"exclude"`
	Include [][]string `json:"include"`
}

type operation struct {
	Op         string            `json:"op"`
	Version    string            `json:"version"`
	Manager    string            `json:"manager"`
	Force      bool              `json:"force"`
	Duplicates bool              `json:"duplicates"`
	Left       json.RawMessage   `json:"left"`
	Right      json.RawMessage   `json:"right"`
	Fields     string            `json:"fields"`
	Others     string            `json:"others"`
	Schema     json.RawMessage   `json:"schema"`
	Versions   map[string]string `json:"versions"`
}

type answer map[string]any

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			encoded, encodeErr := json.Marshal(run(line))
			if encodeErr != nil {
				fmt.Fprintln(os.Stderr, encodeErr)
				os.Exit(1)
			}
			out.Write(encoded)
			out.WriteByte('\n')
			out.Flush()
		}
		if err != nil {
			return
		}
	}
}

func run(line []byte) []answer {
	var c testCase
	if err := json.Unmarshal(line, &c); err != nil {
		return []answer{failed(err)}
	}
	s := &state{managers: fieldpath.ManagedFields{}}
	if err := s.setTypes(c.Schema, c.Versions); err != nil {
		return []answer{failed(err)}
	}
	filters, err := filtersOf(c.Ignored)
	if err != nil {
		return []answer{failed(err)}
	}
	builder := merge.UpdaterBuilder{Converter: s, IgnoreFilter: filters}
	s.updater = builder.BuildUpdater()
	answers := []answer{}
	for _, op := range c.Ops {
		answers = append(answers, s.answer(op))
	}
	return answers
}

func filtersOf(ignored map[string]filter) (map[fieldpath.APIVersion]fieldpath.Filter, error) {
	filters := map[fieldpath.APIVersion]fieldpath.Filter{}
	for version, it := range ignored {
		if it.Include == nil {
			set, err := setOf(it.Exclude)
			if err != nil {
				return nil, err
			}
			filters[fieldpath.APIVersion(version)] = fieldpath.NewExcludeSetFilter(set)
			continue
		}
		matchers := []*fieldpath.SetMatcher{}
		for _, path := range it.Include {
			parts := []any{}
			for _, part := range path {
				if part == "*" {
					parts = append(parts, fieldpath.MatchAnyPathElement())
				} else {
					parts = append(parts, part)
				}
			}
			matchers = append(matchers, fieldpath.MakePrefixMatcherOrDie(parts...))
		}
		filters[fieldpath.APIVersion(version)] = fieldpath.NewIncludeMatcherFilter(matchers...)
	}
	return filters, nil
}

// state is an object with its owners, and the types of its versions.
type state struct {
	parser   *typed.Parser
	versions map[string]string
	updater  *merge.Updater

	live     *typed.TypedValue
	version  string
	managers fieldpath.ManagedFields
}

func (s *state) setTypes(schema json.RawMessage, versions map[string]string) error {
	if len(versions) == 0 {
		s.parser, s.versions = nil, nil
		return nil
	}
	parser, err := typed.NewParser(typed.YAMLObject(schema))
	if err != nil {
		return err
	}
	s.parser, s.versions = parser, versions
	return nil
}

func (s *state) typeOf(version string) typed.ParseableType {
	if s.parser == nil {
		return typed.DeducedParseableType
	}
	return s.parser.Type(s.versions[version])
}

func (s *state) typed(raw json.RawMessage, version string, duplicates bool) (*typed.TypedValue, error) {
	v, err := valueOf(raw)
	if err != nil {
		return nil, err
	}
	if duplicates {
		return s.typeOf(version).FromUnstructured(v, typed.AllowDuplicates)
	}
	return s.typeOf(version).FromUnstructured(v)
}

var errMissingVersion = errors.New("no such version")

// Convert renames the fields of an object from version to version: in v1 as they are, in v2 with "V2" at the end. On
// the way "lossy" is lost; and an object with "failing" cannot be converted.
func (s *state) Convert(object *typed.TypedValue, version fieldpath.APIVersion) (*typed.TypedValue, error) {
	if s.parser == nil {
		return object, nil
	}
	name, ok := s.versions[string(version)]
	if !ok {
		return object, errMissingVersion
	}
	if *object.TypeRef().NamedType == name {
		return object, nil
	}
	converted, err := rename(object.AsValue(), string(version) == "v2")
	if err != nil {
		return object, err
	}
	return s.typeOf(string(version)).FromUnstructured(converted, typed.AllowDuplicates)
}

func rename(v value.Value, toV2 bool) (any, error) {
	if v == nil {
		return nil, nil
	}
	fields, ok := v.Unstructured().(map[string]any)
	if !ok {
		return v.Unstructured(), nil
	}
	renamed := map[string]any{}
	for name, field := range fields {
		name = strings.TrimSuffix(name, "V2")
		if name == "failing" {
			return nil, errors.New("conversion failed")
		}
		if name == "lossy" {
			continue
		}
		if toV2 {
			name += "V2"
		}
		renamed[name] = field
	}
	return renamed, nil
}

// IsMissingVersionError tells managers of versions that are gone.
func (s *state) IsMissingVersionError(err error) bool {
	return err == errMissingVersion
}

func (s *state) answer(op operation) answer {
	switch op.Op {
	case "parse":
		set, err := setOf(op.Fields)
		if err != nil {
			return answer{"error": "fields"}
		}
		return sets(answer{"text": set.String(), "size": set.Size()}, "set", set, "leaves", set.Leaves())
	case "sets":
		left, err := setOf(op.Fields)
		if err != nil {
			return answer{"error": "fields"}
		}
		right, err := setOf(op.Others)
		if err != nil {
			return answer{"error": "fields"}
		}
		return sets(answer{"equal": left.Equals(right)},
			"union", left.Union(right),
			"intersection", left.Intersection(right),
			"difference", left.Difference(right),
			"recursive", left.RecursiveDifference(right))
	case "validate":
		v, err := s.typed(op.Left, op.Version, op.Duplicates)
		if err != nil {
			return failed(err)
		}
		set, err := v.ToFieldSet()
		if err != nil {
			return failed(err)
		}
		return sets(answer{}, "set", set)
	case "compare", "merge":
		left, err := s.typed(op.Left, op.Version, true)
		if err != nil {
			return failed(err)
		}
		right, err := s.typed(op.Right, op.Version, op.Duplicates)
		if err != nil {
			return failed(err)
		}
		if op.Op == "merge" {
			merged, err := left.Merge(right)
			if err != nil {
				return failed(err)
			}
			return answer{"value": plain(merged)}
		}
		comparison, err := left.Compare(right)
		if err != nil {
			return failed(err)
		}
		return sets(answer{}, "removed", comparison.Removed, "modified", comparison.Modified, "added", comparison.Added)
	case "remove", "extract", "extractWithKeys":
		v, err := s.typed(op.Left, op.Version, true)
		if err != nil {
			return failed(err)
		}
		set, err := setOf(op.Fields)
		if err != nil {
			return answer{"error": "fields"}
		}
		switch op.Op {
		case "remove":
			v = v.RemoveItems(set)
		case "extract":
			v = v.ExtractItems(set)
		default:
			v = v.ExtractItems(set, typed.WithAppendKeyFields())
		}
		return answer{"value": plain(v)}
	case "managers":
		return s.setManager(op)
	case "schema":
		return s.changeSchema(op)
	default:
		return s.write(op)
	}
}

// setManager is what a client does that writes managedFields by hand.
func (s *state) setManager(op operation) answer {
	set, err := setOf(op.Fields)
	if err != nil {
		return answer{"error": "fields"}
	}
	managers := s.managers.Copy()
	managers[op.Manager] = fieldpath.NewVersionedSet(set, fieldpath.APIVersion(op.Version), op.Force)
	s.managers = managers
	return s.answerState(false)
}

func (s *state) changeSchema(op operation) answer {
	before := *s
	if err := s.setTypes(op.Schema, op.Versions); err != nil {
		return failed(err)
	}
	if s.live != nil {
		live, err := typed.AsTyped(s.live.AsValue(), s.typeOf(s.version).Schema, s.typeOf(s.version).TypeRef, typed.AllowDuplicates)
		if err != nil {
			*s = before
			return failed(err)
		}
		s.live = live
	}
	return answer{}
}

func (s *state) write(op operation) answer {
	object, err := s.typed(op.Left, op.Version, op.Op == "update")
	if err != nil {
		return failed(err)
	}
	live := s.live
	if live == nil {
		live, err = s.typeOf(op.Version).FromUnstructured(nil)
	} else {
		live, err = s.Convert(live, fieldpath.APIVersion(op.Version))
	}
	if err != nil {
		return failed(err)
	}
	version := fieldpath.APIVersion(op.Version)
	var managers fieldpath.ManagedFields
	if op.Op == "update" {
		object, managers, err = s.updater.Update(live, object, version, s.managers, op.Manager)
	} else {
		object, managers, err = s.updater.Apply(live, object, version, s.managers, op.Manager, op.Force)
	}
	if err != nil {
		return failed(err)
	}
	noop := object == nil
	if noop {
		object = live
	}
	s.live, s.version, s.managers = object, op.Version, managers
	return s.answerState(noop)
}

func (s *state) answerState(noop bool) answer {
	managers := map[string]any{}
	for manager, owned := range s.managers {
		managers[manager] = sets(answer{
			"version": owned.APIVersion(),
			"applied": owned.Applied(),
		}, "set", owned.Set())
	}
	a := answer{"noop": noop, "managers": managers, "value": nil}
	if s.live != nil {
		a["value"] = plain(s.live)
	}
	return a
}

func failed(err error) answer {
	if conflicts, ok := err.(merge.Conflicts); ok {
		list := [][2]string{}
		for _, it := range conflicts {
			list = append(list, [2]string{it.Manager, it.Path.String()})
		}
		return answer{"conflicts": list, "error": err.Error()}
	}
	return answer{"error": err.Error()}
}

func sets(a answer, namesAndSets ...any) answer {
	for i := 0; i < len(namesAndSets); i += 2 {
		encoded, err := namesAndSets[i+1].(*fieldpath.Set).ToJSON()
		if err != nil {
			encoded = []byte(err.Error())
		}
		a[namesAndSets[i].(string)] = string(encoded)
	}
	return a
}

func setOf(fields string) (*fieldpath.Set, error) {
	set := &fieldpath.Set{}
	return set, set.FromJSON(strings.NewReader(fields))
}

func plain(v *typed.TypedValue) any {
	if v.AsValue() == nil {
		return nil
	}
	return v.AsValue().Unstructured()
}

// valueOf reads a value as an API server does: numbers are int64 if they can be.
func valueOf(raw json.RawMessage) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, err
	}
	return numbers(v)
}

func numbers(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i, nil
		}
		return v.Float64()
	case []any:
		for i := range v {
			if v[i], err = numbers(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for name := range v {
			if v[name], err = numbers(v[name]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}
