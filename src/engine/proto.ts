// The package is CommonJS whose names Node cannot see from outside: it is unpacked here, once.
import proto from '@temporalio/proto';

export type { temporal } from '@temporalio/proto';

/** The server's enums (https://github.com/temporalio/api). */
export const enums = proto.temporal.api.enums.v1;
