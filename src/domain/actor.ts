/** Whoever reaches the workflow itself is known by that alone (contract, section 13): the name is what they say. */
export const NATIVE_ACTOR = 'temporal';
