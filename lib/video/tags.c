/* video: what a frame's tags say of HDR and gamut, and what they imply where they are silent (doc/formats.md 5.5). */
#include "exact.h"
#include <libavutil/mastering_display_metadata.h>

int tags_primaries(enum AVColorTransferCharacteristic transfer, enum AVColorPrimaries primaries,
	enum AVColorSpace space)
{
	bool said = primaries != AVCOL_PRI_UNSPECIFIED && primaries != AVCOL_PRI_RESERVED0;
	bool wide = e3_tone_is_hdr((int)transfer) || space == AVCOL_SPC_BT2020_NCL || space == AVCOL_SPC_BT2020_CL ||
		space == AVCOL_SPC_ICTCP;
	return said ? (int)primaries : wide ? E3_PRIMARIES_2020 : E3_PRIMARIES_709;
}

bool tags_need_tone(const AVFrame *f)
{
	return e3_tone_is_hdr((int)f->color_trc) ||
		e3_tone_is_wide(tags_primaries(f->color_trc, f->color_primaries, f->colorspace));
}

e3_tone *tags_tone(const AVFrame *f, double peak, e3_err *err)
{
	return e3_tone_open((int)f->color_trc, tags_primaries(f->color_trc, f->color_primaries, f->colorspace), peak, err);
}

double tags_peak(const AVFrame *f)
{
	const AVFrameSideData *light = av_frame_get_side_data(f, AV_FRAME_DATA_CONTENT_LIGHT_LEVEL);
	const AVFrameSideData *display = av_frame_get_side_data(f, AV_FRAME_DATA_MASTERING_DISPLAY_METADATA);
	if (light && ((const AVContentLightMetadata *)light->data)->MaxCLL > 0)
		return ((const AVContentLightMetadata *)light->data)->MaxCLL;
	if (display && ((const AVMasteringDisplayMetadata *)display->data)->has_luminance)
		return av_q2d(((const AVMasteringDisplayMetadata *)display->data)->max_luminance);
	return 0;
}
