package storetest

import "testing"

func TestHistories_Memory(t *testing.T) { Histories(t, memoryStore) }

func TestHistories_Journal(t *testing.T) { Histories(t, Options{New: newJournalHome}) }
