/* Writes the numbers of src/io/mmal_abi.h into the assembler output, a line `TA name value` each: compiled, never run
 * or linked, so that any target can be asked. The names are those of MMAL's headers. */
#include "../src/io/mmal_abi.h"

#define NUMBER(name, value) __asm__ volatile("# TA " name " %c0" ::"i"(value))
#define IS(name, short_name) NUMBER(name, TA_MMAL_##short_name)
#define SIZE(name, type) NUMBER(name, sizeof(type))
#define AT(name, type, member) NUMBER(name, offsetof(type, member))

void numbers(void);
void numbers(void) {
    IS("MMAL_SUCCESS", SUCCESS);
    IS("MMAL_EIO", EIO);
    IS("MMAL_PARAMETER_ZERO_COPY", ZERO_COPY);
    IS("MMAL_PARAMETER_PROFILE", PROFILE);
    IS("MMAL_PARAMETER_INTRAPERIOD", INTRAPERIOD);
    IS("MMAL_PARAMETER_RATECONTROL", RATECONTROL);
    IS("MMAL_PARAMETER_VIDEO_REQUEST_I_FRAME", REQUEST_I_FRAME);
    IS("MMAL_PARAMETER_VIDEO_INTRA_REFRESH", INTRA_REFRESH);
    IS("MMAL_PARAMETER_VIDEO_IMMUTABLE_INPUT", IMMUTABLE_INPUT);
    IS("MMAL_PARAMETER_VIDEO_BIT_RATE", BIT_RATE);
    IS("MMAL_PARAMETER_VIDEO_ENCODE_MIN_QUANT", MIN_QUANT);
    IS("MMAL_PARAMETER_VIDEO_ENCODE_MAX_QUANT", MAX_QUANT);
    IS("MMAL_PARAMETER_VIDEO_ENCODE_H264_LOW_LATENCY", LOW_LATENCY);
    IS("MMAL_PARAMETER_VIDEO_ENCODE_INLINE_HEADER", INLINE_HEADER);
    IS("MMAL_PARAMETER_VIDEO_ENCODE_SPS_TIMING", SPS_TIMING);
    IS("MMAL_ES_TYPE_VIDEO", ES_TYPE_VIDEO);
    IS("MMAL_VIDEO_PROFILE_H264_HIGH", PROFILE_H264_HIGH);
    IS("MMAL_VIDEO_LEVEL_H264_4", LEVEL_H264_4);
    IS("MMAL_VIDEO_LEVEL_H264_42", LEVEL_H264_42);
    IS("MMAL_VIDEO_RATECONTROL_CONSTANT", RATECONTROL_CONSTANT);
    IS("MMAL_VIDEO_INTRA_REFRESH_CYCLIC_MROWS", INTRA_REFRESH_CYCLIC_MROWS);
    IS("MMAL_BUFFER_HEADER_FLAG_FRAME_END", FLAG_FRAME_END);
    IS("MMAL_BUFFER_HEADER_FLAG_KEYFRAME", FLAG_KEYFRAME);
    IS("MMAL_BUFFER_HEADER_FLAG_CONFIG", FLAG_CONFIG);
    IS("MMAL_BUFFER_HEADER_FLAG_CODECSIDEINFO", FLAG_CODECSIDEINFO);
    IS("MMAL_BUFFER_HEADER_FLAG_CORRUPTED", FLAG_CORRUPTED);
    IS("MMAL_BUFFER_HEADER_FLAG_TRANSMISSION_FAILED", FLAG_TRANSMISSION_FAILED);
    IS("MMAL_EVENT_ERROR", EVENT_ERROR);
    IS("MMAL_ENCODING_H264", ENCODING_H264);
    IS("MMAL_ENCODING_I420", ENCODING_I420);
    IS("MMAL_ENCODING_NV12", ENCODING_NV12);
    IS("MMAL_ENCODING_UYVY", ENCODING_UYVY);
    IS("MMAL_ENCODING_YUYV", ENCODING_YUYV);
    NUMBER("MMAL_TIME_UNKNOWN", (uint32_t)((uint64_t)TA_MMAL_TIME_UNKNOWN >> 32)); /* the upper half: lower is 0 */

    SIZE("MMAL_COMPONENT_T", ta_mmal_component);
    AT("MMAL_COMPONENT_T.is_enabled", ta_mmal_component, is_enabled);
    AT("MMAL_COMPONENT_T.control", ta_mmal_component, control);
    AT("MMAL_COMPONENT_T.input_num", ta_mmal_component, input_num);
    AT("MMAL_COMPONENT_T.input", ta_mmal_component, input);
    AT("MMAL_COMPONENT_T.output_num", ta_mmal_component, output_num);
    AT("MMAL_COMPONENT_T.output", ta_mmal_component, output);
    SIZE("MMAL_PORT_T", ta_mmal_port);
    AT("MMAL_PORT_T.is_enabled", ta_mmal_port, is_enabled);
    AT("MMAL_PORT_T.format", ta_mmal_port, format);
    AT("MMAL_PORT_T.buffer_num_min", ta_mmal_port, buffer_num_min);
    AT("MMAL_PORT_T.buffer_size_min", ta_mmal_port, buffer_size_min);
    AT("MMAL_PORT_T.buffer_num_recommended", ta_mmal_port, buffer_num_recommended);
    AT("MMAL_PORT_T.buffer_size_recommended", ta_mmal_port, buffer_size_recommended);
    AT("MMAL_PORT_T.buffer_num", ta_mmal_port, buffer_num);
    AT("MMAL_PORT_T.buffer_size", ta_mmal_port, buffer_size);
    AT("MMAL_PORT_T.userdata", ta_mmal_port, userdata);
    SIZE("MMAL_ES_FORMAT_T", ta_mmal_es_format);
    AT("MMAL_ES_FORMAT_T.type", ta_mmal_es_format, type);
    AT("MMAL_ES_FORMAT_T.encoding", ta_mmal_es_format, encoding);
    AT("MMAL_ES_FORMAT_T.encoding_variant", ta_mmal_es_format, encoding_variant);
    AT("MMAL_ES_FORMAT_T.es", ta_mmal_es_format, es);
    AT("MMAL_ES_FORMAT_T.bitrate", ta_mmal_es_format, bitrate);
    SIZE("MMAL_VIDEO_FORMAT_T", ta_mmal_video_format);
    AT("MMAL_VIDEO_FORMAT_T.width", ta_mmal_video_format, width);
    AT("MMAL_VIDEO_FORMAT_T.height", ta_mmal_video_format, height);
    AT("MMAL_VIDEO_FORMAT_T.crop", ta_mmal_video_format, crop);
    AT("MMAL_VIDEO_FORMAT_T.frame_rate", ta_mmal_video_format, frame_rate);
    AT("MMAL_VIDEO_FORMAT_T.par", ta_mmal_video_format, par);
    SIZE("MMAL_RECT_T", ta_mmal_rect);
    AT("MMAL_RECT_T.width", ta_mmal_rect, width);
    AT("MMAL_RECT_T.height", ta_mmal_rect, height);
    SIZE("MMAL_RATIONAL_T", ta_mmal_rational);
    AT("MMAL_RATIONAL_T.den", ta_mmal_rational, den);
    SIZE("MMAL_BUFFER_HEADER_T", ta_mmal_buffer);
    AT("MMAL_BUFFER_HEADER_T.cmd", ta_mmal_buffer, cmd);
    AT("MMAL_BUFFER_HEADER_T.data", ta_mmal_buffer, data);
    AT("MMAL_BUFFER_HEADER_T.alloc_size", ta_mmal_buffer, alloc_size);
    AT("MMAL_BUFFER_HEADER_T.length", ta_mmal_buffer, length);
    AT("MMAL_BUFFER_HEADER_T.offset", ta_mmal_buffer, offset);
    AT("MMAL_BUFFER_HEADER_T.flags", ta_mmal_buffer, flags);
    AT("MMAL_BUFFER_HEADER_T.pts", ta_mmal_buffer, pts);
    AT("MMAL_BUFFER_HEADER_T.dts", ta_mmal_buffer, dts);
    AT("MMAL_BUFFER_HEADER_T.user_data", ta_mmal_buffer, user_data);
    SIZE("MMAL_POOL_T", ta_mmal_pool);
    AT("MMAL_POOL_T.queue", ta_mmal_pool, queue);
    SIZE("MMAL_PARAMETER_HEADER_T", ta_mmal_header);
    AT("MMAL_PARAMETER_HEADER_T.id", ta_mmal_header, id);
    AT("MMAL_PARAMETER_HEADER_T.size", ta_mmal_header, size);
    SIZE("MMAL_PARAMETER_UINT32_T", ta_mmal_uint32);
    AT("MMAL_PARAMETER_UINT32_T.value", ta_mmal_uint32, value);
    SIZE("MMAL_PARAMETER_BOOLEAN_T", ta_mmal_uint32);
    AT("MMAL_PARAMETER_BOOLEAN_T.enable", ta_mmal_uint32, value);
    SIZE("MMAL_PARAMETER_VIDEO_RATECONTROL_T", ta_mmal_uint32);
    AT("MMAL_PARAMETER_VIDEO_RATECONTROL_T.control", ta_mmal_uint32, value);
    SIZE("MMAL_PARAMETER_VIDEO_PROFILE_T", ta_mmal_profile);
    AT("MMAL_PARAMETER_VIDEO_PROFILE_T.profile", ta_mmal_profile, profile);
    SIZE("MMAL_PARAMETER_VIDEO_INTRA_REFRESH_T", ta_mmal_intra_refresh);
    AT("MMAL_PARAMETER_VIDEO_INTRA_REFRESH_T.refresh_mode", ta_mmal_intra_refresh, refresh_mode);
    AT("MMAL_PARAMETER_VIDEO_INTRA_REFRESH_T.cir_mbs", ta_mmal_intra_refresh, cir_mbs);
}
