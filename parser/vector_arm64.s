//go:build !portable

#include "textflag.h"

// Offsets in window.
#define VALUE 520
#define NAME 1040

// Puts the top bits of 64 bytes, each 0 or 0xFF, in four vectors, into a word: a
// byte keeps the bit of its place among eight, and three rounds of adding
// neighbours leave one byte for eight. V30 has the weights.
#define MASK(M0, M1, M2, M3, WORD) \
	VAND  V30.B16, M0.B16, M0.B16 \
	VAND  V30.B16, M1.B16, M1.B16 \
	VAND  V30.B16, M2.B16, M2.B16 \
	VAND  V30.B16, M3.B16, M3.B16 \
	VADDP M1.B16, M0.B16, M0.B16 \
	VADDP M3.B16, M2.B16, M2.B16 \
	VADDP M2.B16, M0.B16, M0.B16 \
	VADDP M0.B16, M0.B16, M0.B16 \
	VMOV  M0.D[0], WORD

// Looks up 16 bytes by their low and their high halves: OUT is what both tables
// have in common.
#define LOOKUP(LOW, HIGH, TABLELOW, TABLEHIGH, OUT) \
	VTBL LOW.B16, [TABLELOW.B16], OUT.B16 \
	VTBL HIGH.B16, [TABLEHIGH.B16], V29.B16 \
	VAND V29.B16, OUT.B16, OUT.B16

// func classify(b *byte, blocks int, w *window, t *kernelTables, high *bool)
//
// The idea is that of the AVX2 kernel: both lookups have a bit in common if the
// byte is of a class. The high half of a byte from 0x80 on finds a 0.
//
// R0 next block  R1 blocks left  R2 bits of the next block  R4 its byte of high
// V0-V3 the block  V4-V7 its low halves  V8-V11 its high halves  V16-V30 constants
TEXT ·classify(SB), NOSPLIT, $0-40
	MOVD b+0(FP), R0
	MOVD blocks+8(FP), R1
	MOVD w+16(FP), R2
	MOVD t+24(FP), R3
	MOVD high+32(FP), R4
	VLD1.P 64(R3), [V27.B16, V28.B16, V29.B16, V30.B16]
	VMOV   V28.B16, V16.B16
	VMOV   V29.B16, V17.B16
	VMOV   V30.B16, V18.B16
	VLD1   (R3), [V19.B16, V20.B16, V21.B16, V22.B16]
	VMOV   V20.B16, V25.B16
	VMOV   V21.B16, V26.B16
	VMOV   V22.B16, V30.B16
	VEOR   V28.B16, V28.B16, V28.B16

block:
	VLD1.P 64(R0), [V0.B16, V1.B16, V2.B16, V3.B16]
	VAND  V27.B16, V0.B16, V4.B16
	VAND  V27.B16, V1.B16, V5.B16
	VAND  V27.B16, V2.B16, V6.B16
	VAND  V27.B16, V3.B16, V7.B16
	VUSHR $4, V0.B16, V8.B16
	VUSHR $4, V1.B16, V9.B16
	VUSHR $4, V2.B16, V10.B16
	VUSHR $4, V3.B16, V11.B16

	// Names: no bit in common is a stop.
	LOOKUP(V4, V8, V16, V17, V12)
	LOOKUP(V5, V9, V16, V17, V13)
	LOOKUP(V6, V10, V16, V17, V14)
	LOOKUP(V7, V11, V16, V17, V15)
	VCMEQ V28.B16, V12.B16, V12.B16
	VCMEQ V28.B16, V13.B16, V13.B16
	VCMEQ V28.B16, V14.B16, V14.B16
	VCMEQ V28.B16, V15.B16, V15.B16
	MASK(V12, V13, V14, V15, R5)
	MOVD R5, NAME(R2)

	// Text and values: a bit in common is a stop of the maps that it is for.
	LOOKUP(V4, V8, V18, V19, V12)
	LOOKUP(V5, V9, V18, V19, V13)
	LOOKUP(V6, V10, V18, V19, V14)
	LOOKUP(V7, V11, V18, V19, V15)
	VCMTST V25.B16, V12.B16, V20.B16
	VCMTST V25.B16, V13.B16, V21.B16
	VCMTST V25.B16, V14.B16, V22.B16
	VCMTST V25.B16, V15.B16, V23.B16
	MASK(V20, V21, V22, V23, R5)
	MOVD R5, (R2)
	VCMTST V26.B16, V12.B16, V12.B16
	VCMTST V26.B16, V13.B16, V13.B16
	VCMTST V26.B16, V14.B16, V14.B16
	VCMTST V26.B16, V15.B16, V15.B16
	MASK(V12, V13, V14, V15, R5)
	MOVD R5, VALUE(R2)

	VORR V1.B16, V0.B16, V0.B16
	VORR V3.B16, V2.B16, V2.B16
	VORR V2.B16, V0.B16, V0.B16
	VMOV V0.D[0], R5
	VMOV V0.D[1], R6
	ORR  R6, R5, R5
	ANDS $0x8080808080808080, R5, R5
	CSET NE, R5
	MOVB R5, (R4)

	ADD  $1, R4
	ADD  $8, R2
	SUBS $1, R1, R1
	BNE  block
	RET
