//go:build !portable

#include "textflag.h"

// Offsets in window and kernelTables.
#define VALUE 520
#define NAME 1040
#define T_NIBBLE 0
#define T_NAMELOW 32
#define T_NAMEHIGH 64
#define T_STOPLOW 96
#define T_STOPHIGH 128
#define T_TEXTBITS 160
#define T_VALUEBITS 192
#define T_FIRST 224
#define T_FIRSTLOW 256
#define T_SECOND 288
#define T_THIRD 320
#define T_FOURTH 352
#define T_LAST 384
#define T_HIGH 416
#define T_LEAD 448
#define T_MIDDLE 480
#define T_ONE 512

// func classify(b, pad *byte, blocks int, w *window, t *kernelTables) int
//
// Each byte is looked up by its low and its high half at once, 32 bytes a
// shuffle; both lookups have a bit in common if the byte is of a class. Bytes
// from 0x80 on give 0, because a shuffle does so for an index with the top bit.
//
// SI next block  R12 pad  CX blocks left  DI bits of the next block  BX tables
// AX good blocks R13 the block before ended inside of a character
// Y7 the 32 bytes before  Y8-Y15 constants
TEXT ·classify(SB), NOSPLIT, $0-48
	MOVQ b+0(FP), SI
	MOVQ pad+8(FP), R12
	MOVQ blocks+16(FP), CX
	MOVQ w+24(FP), DI
	MOVQ t+32(FP), BX
	XORQ AX, AX
	XORQ R13, R13
	VPXOR Y7, Y7, Y7
	VPXOR Y14, Y14, Y14
	VMOVDQU T_NIBBLE(BX), Y15
	VMOVDQU T_NAMELOW(BX), Y13
	VMOVDQU T_NAMEHIGH(BX), Y12
	VMOVDQU T_STOPLOW(BX), Y11
	VMOVDQU T_STOPHIGH(BX), Y10
	VMOVDQU T_TEXTBITS(BX), Y9
	VMOVDQU T_VALUEBITS(BX), Y8
	TESTQ CX, CX
	JNZ  block
	MOVQ R12, SI

block:
	PREFETCHT0 1024(SI)
	VMOVDQU (SI), Y0
	VMOVDQU 32(SI), Y1

	// Names: no bit in common is a stop.
	VPSRLW $4, Y0, Y2
	VPSRLW $4, Y1, Y3
	VPAND  Y15, Y2, Y2
	VPAND  Y15, Y3, Y3
	VPSHUFB Y0, Y13, Y4
	VPSHUFB Y2, Y12, Y5
	VPAND   Y4, Y5, Y4
	VPCMPEQB Y14, Y4, Y4
	VPMOVMSKB Y4, R8
	VPSHUFB Y1, Y13, Y4
	VPSHUFB Y3, Y12, Y5
	VPAND   Y4, Y5, Y4
	VPCMPEQB Y14, Y4, Y4
	VPMOVMSKB Y4, R9
	SHLQ $32, R9
	ORQ  R9, R8
	MOVQ R8, NAME(DI)

	// Text and values: a bit in common is a stop of the maps that it is for.
	VPSHUFB Y0, Y11, Y4
	VPSHUFB Y2, Y10, Y5
	VPAND   Y4, Y5, Y4
	VPSHUFB Y1, Y11, Y5
	VPSHUFB Y3, Y10, Y6
	VPAND   Y5, Y6, Y5
	VPAND   Y9, Y4, Y6
	VPCMPGTB Y14, Y6, Y6
	VPMOVMSKB Y6, R8
	VPAND   Y9, Y5, Y6
	VPCMPGTB Y14, Y6, Y6
	VPMOVMSKB Y6, R9
	VPAND   Y8, Y4, Y4
	VPCMPGTB Y14, Y4, Y4
	VPMOVMSKB Y4, R10
	VPAND   Y8, Y5, Y5
	VPCMPGTB Y14, Y5, Y5
	VPMOVMSKB Y5, R11
	SHLQ $32, R9
	ORQ  R9, R8
	MOVQ R8, (DI)
	SHLQ $32, R11
	ORQ  R11, R10
	MOVQ R10, VALUE(DI)

	VPOR Y0, Y1, Y4
	VPMOVMSKB Y4, R8
	TESTL R8, R8
	JNZ  multibyte
	TESTL R13, R13
	JNZ  done
	VMOVDQA Y1, Y7

next:
	INCQ AX
	ADDQ $8, DI
	ADDQ $64, SI
	DECQ CX
	JG   block
	MOVQ R12, SI
	JZ   block

done:
	MOVQ AX, ret+40(FP)
	VZEROUPPER
	RET

// UTF-8. Y2 and Y3 are the high halves of Y0 and Y1.
// Y4, Y5 and Y6 are the bytes one, two and three before each; ERR may be HIGH.
#define UTF8(IN, HIGH, BEFORE, ERR) \
	VMOVDQU T_SECOND(BX), Y8 \
	VPSHUFB HIGH, Y8, ERR \
	VPERM2I128 $0x21, IN, BEFORE, Y6 \
	VPALIGNR $15, Y6, IN, Y4 \
	VPALIGNR $14, Y6, IN, Y5 \
	VPALIGNR $13, Y6, IN, Y6 \
	VPSUBUSB T_FOURTH(BX), Y6, Y6 \
	VPSUBUSB T_THIRD(BX), Y5, Y8 \
	VPOR   Y6, Y8, Y6 \
	VPAND  T_HIGH(BX), Y6, Y6 \
	VPSRLW $4, Y4, Y8 \
	VPAND  Y15, Y8, Y8 \
	VMOVDQU T_FIRST(BX), Y9 \
	VPSHUFB Y8, Y9, Y9 \
	VPAND  Y9, ERR, ERR \
	VPAND  Y15, Y4, Y8 \
	VMOVDQU T_FIRSTLOW(BX), Y9 \
	VPSHUFB Y8, Y9, Y9 \
	VPAND  Y9, ERR, ERR \
	VPXOR  Y6, ERR, ERR \
	VPCMPEQB T_LEAD(BX), Y5, Y5 \
	VPCMPEQB T_MIDDLE(BX), Y4, Y4 \
	VPAND  Y4, Y5, Y5 \
	VPOR   T_ONE(BX), IN, Y4 \
	VPCMPEQB T_MIDDLE(BX), Y4, Y4 \
	VPAND  Y4, Y5, Y5 \
	VPOR   Y5, ERR, ERR

multibyte:
	UTF8(Y1, Y3, Y0, Y3)
	UTF8(Y0, Y2, Y7, Y2)
	VPOR Y2, Y3, Y2
	VMOVDQU T_TEXTBITS(BX), Y9
	VMOVDQU T_VALUEBITS(BX), Y8
	VMOVDQA Y1, Y7
	VPTEST Y2, Y2
	JNZ  done
	XORQ R13, R13
	VPSUBUSB T_LAST(BX), Y1, Y4
	VPTEST Y4, Y4
	JZ   next
	INCQ R13
	JMP  next

// func cpuid(leaf, sub uint32) (a, b, c, d uint32)
TEXT ·cpuid(SB), NOSPLIT, $0-24
	MOVL leaf+0(FP), AX
	MOVL sub+4(FP), CX
	CPUID
	MOVL AX, a+8(FP)
	MOVL BX, b+12(FP)
	MOVL CX, c+16(FP)
	MOVL DX, d+20(FP)
	RET

// func xgetbv() uint32
TEXT ·xgetbv(SB), NOSPLIT, $0-4
	XORL CX, CX
	XGETBV
	MOVL AX, ret+0(FP)
	RET
