/*
 * Times expat with namespaces on a stream that comes on standard input.
 *
 *     expat CHUNK TIMES ROUNDS
 *
 * Everything is read first. Each of ROUNDS rounds parses it TIMES times, in
 * pieces of CHUNK bytes. Printed is one line: the CPU time of parsing it once,
 * in nanoseconds, of the best round; its first-level elements; and how often
 * expat asked for memory.
 */
#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static long allocs, stanzas, bytes;
static int depth;

static void *counted_malloc(size_t n) { allocs++; return malloc(n); }
static void *counted_realloc(void *p, size_t n) { allocs++; return realloc(p, n); }

static void XMLCALL start(void *data, const XML_Char *name, const XML_Char **attrs)
{
	(void)data, (void)name, (void)attrs;
	if (++depth == 2)
		stanzas++;
}

static void XMLCALL end(void *data, const XML_Char *name)
{
	(void)data, (void)name;
	depth--;
}

static void XMLCALL text(void *data, const XML_Char *s, int n)
{
	(void)data, (void)s;
	bytes += n;
}

static long long cpu(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000LL +
	       (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000LL;
}

static void parse(const char *b, size_t n, size_t chunk)
{
	static const XML_Memory_Handling_Suite memory = {counted_malloc, counted_realloc, free};
	XML_Parser p = XML_ParserCreate_MM(NULL, &memory, "\n");
	if (p == NULL)
		exit(2);
	XML_SetElementHandler(p, start, end);
	XML_SetCharacterDataHandler(p, text);
	depth = 0, stanzas = 0, allocs = 0;
	for (size_t at = 0; at < n; at += chunk) {
		int piece = (int)(n - at < chunk ? n - at : chunk);
		if (XML_Parse(p, b + at, piece, 0) != XML_STATUS_OK) {
			fprintf(stderr, "%s\n", XML_ErrorString(XML_GetErrorCode(p)));
			exit(1);
		}
	}
	XML_ParserFree(p);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	size_t chunk = strtoul(argv[1], NULL, 10), n = 0, room = 1 << 20;
	int times = atoi(argv[2]), rounds = atoi(argv[3]);
	char *b = malloc(room);
	for (size_t got; b != NULL && (got = fread(b + n, 1, room - n, stdin)) > 0;) {
		n += got;
		if (n == room)
			b = realloc(b, room *= 2);
	}
	if (b == NULL || chunk == 0 || times <= 0)
		return 2;
	long long best = 0;
	for (int r = 0; r < rounds; r++) {
		long long begun = cpu();
		for (int i = 0; i < times; i++)
			parse(b, n, chunk);
		long long took = (cpu() - begun) / times;
		if (best == 0 || took < best)
			best = took;
	}
	printf("%lld %ld %ld\n", best, stanzas, allocs);
	return bytes < 0;
}
