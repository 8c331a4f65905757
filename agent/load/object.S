/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler object, as bytes in the read-only data of the program. */
	.section .rodata
	.balign 16
	.global tactus_embedded_object
	.global tactus_embedded_object_end
tactus_embedded_object:
	.incbin TACTUS_OBJECT_FILE
tactus_embedded_object_end:
	.section .note.GNU-stack, "", %progbits
