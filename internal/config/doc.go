// Package config reads the settings of the server into one value.
//
// Load goes through these steps:
//
//  1. every setting gets its default (the table in settings.go);
//  2. the YAML file, if one is named, replaces what it holds: one flat mapping
//     whose keys are the names without WAYPOST_, in lower case;
//  3. the environment replaces that again;
//  4. a secret may stand in a file of its own, named by the setting with _FILE
//     (in YAML _file) appended;
//  5. what depends on other settings is filled in (host name, default sender);
//  6. Validate checks every setting and how they fit together.
//
// An empty value stands for the setting's default, whatever a lower layer says;
// only for a listener it means "off". A name that does not exist is an error that
// tells the nearest one that does, because a setting with a typing error would
// otherwise be silently without effect. Load reports all errors at once, each with
// the name of its setting, and none with the value of a secret.
//
// Relative paths are relative to the working directory, also in the file.
//
// YAML is read into its syntax tree and each value handed on as the text that was
// written: so "0x10", "1_000" or "no" mean the same in the file as in the
// environment, and errors know their line.
package config
