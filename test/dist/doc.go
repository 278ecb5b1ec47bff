// Package dist tests what scripts/dist.sh makes: the packages are installed, upgraded and
// removed in a copy of this machine's file system, or of another one, and the server in them
// is started as its unit would start it. The tests need root and the directory with the files,
// in ROOST_DIST; `make packages` makes Debian's for some of the tests, and `make test-dist` all.
package dist
