/* data: releasing the structs that travel between stages. */
#include "e3/data.h"
#include "e3/mem.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void e3_head_release(e3_head *x)
{
	free(x->tool), free(x->version), free(x->source), free(x->model), free(x->policy), free(x->device), free(x->kv);
	*x = (e3_head){0};
}

int e3_head_explain_empty(const e3_head *x, e3_err *err)
{
	size_t n = err ? strlen(err->text) : 0;
	if (x->seen && err)
		snprintf(err->text + n, sizeof err->text - n,
			": it continues another stream after its frame %" PRId64 ", and nothing was new: that one is complete",
			x->after);
	return -1;
}

void e3_frame_release(e3_frame *x)
{
	free(x->rgb), free(x->name);
	*x = (e3_frame){0};
}

void e3_pred_release(e3_pred *x)
{
	free(x->rgb), free(x->name), free(x->depth), free(x->depth_conf), free(x->points), free(x->points_conf);
	*x = (e3_pred){0};
}

void e3_evict_release(e3_evict *x)
{
	for (int l = 0; l < x->n_layers; l++)
		free(x->layer[l].removed);
	free(x->layer);
	*x = (e3_evict){0};
}

void e3_attn_release(e3_attn *x)
{
	free(x->key), free(x->mass), free(x->frame_mass), free(x->map);
	*x = (e3_attn){0};
}

void e3_abort_release(e3_abort *x)
{
	free(x->tool), free(x->text);
	*x = (e3_abort){0};
}

void e3_truth_release(e3_truth *x)
{
	free(x->depth), free(x->unit);
	*x = (e3_truth){0};
}

void e3_mask_release(e3_mask *x)
{
	free(x->class), free(x->px);
	*x = (e3_mask){0};
}

bool e3_mask_class_ok(const char *name, size_t n)
{
	if (n < 1 || n > E3_MASK_CLASS || name[0] == ' ' || name[n - 1] == ' ')
		return false;
	for (size_t k = 0; k < n; k++)
		if (name[k] == ',' || (uint8_t)name[k] < ' ' || name[k] == 127)
			return false;
	for (size_t k = 0, len; k < n; k += len)
		if ((len = e3_utf8_length(name + k, n - k)) == 0)
			return false;
	return true;
}
