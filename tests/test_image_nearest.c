/* image: nearest neighbour takes OpenCV's pixels: the vectors resize/nearest_640_to_522 and resize/nearest_480_to_392.
 */
#include "check.h"
#include "e3/image.h"

static void check(int from, int to, const int first[20], const int last[10], int sum)
{
	e3_image in, out;
	int index[1024], total = 0;
	assert_int_equal(e3_image_init(&in, from, 1, 3, NULL), 0);
	for (int x = 0; x < from; x++)
		in.px[3 * x] = (uint8_t)(x & 255), in.px[3 * x + 1] = (uint8_t)(x >> 8);
	assert_int_equal(e3_resize_nearest(&in, to, 1, &out, NULL), 0);
	for (int x = 0; x < to; x++)
		total += index[x] = out.px[3 * x] | out.px[3 * x + 1] << 8;
	assert_memory_equal(index, first, 20 * sizeof *first);
	assert_memory_equal(index + to - 10, last, 10 * sizeof *last);
	assert_int_equal(total, sum);
	e3_image_release(&in), e3_image_release(&out);
}

static void nearest_neighbour_equals_opencv(void **state)
{
	static const int first[20] = {0, 1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 14, 15, 17, 18, 19, 20, 22, 23};
	check(640, 522, first, (int[]){627, 628, 630, 631, 632, 633, 635, 636, 637, 638}, 166460);
	check(480, 392, first, (int[]){467, 468, 470, 471, 472, 473, 475, 476, 477, 478}, 93648);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(nearest_neighbour_equals_opencv)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
