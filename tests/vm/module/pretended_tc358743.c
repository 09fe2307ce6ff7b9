// SPDX-License-Identifier: GPL-2.0
/*
 * A TC358743 that is not there: an I2C adapter with the chip's registers at 0x0f, behind which the kernel's genuine
 * tc358743 driver gives its /dev/v4l-subdevN. A test plays the HDMI source through /dev/pretended-tc358743: reads and
 * writes at offset N are register N, except that a write to an interrupt status register latches the bits written.
 *
 * Registers as in the driver's tc358743_regs.h. No video comes out, and no interrupt line goes in: the driver polls once a
 * second, as it does on a Raspberry Pi with the usual overlay.
 */
#include <linux/bits.h>
#include <linux/i2c.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/uaccess.h>
#include <media/i2c/tc358743.h>
#include <media/v4l2-common.h>
#include <media/v4l2-device.h>

#include "tc358743_regs.h"

#define NAME "pretended-tc358743"
#define I2C_ADDRESS 0x0f
#define REGISTERS 0x10000

static bool answers = true;
module_param(answers, bool, 0644);
MODULE_PARM_DESC(answers, "whether the chip acknowledges on the bus");

static unsigned int hotplug_rises, hotplug_falls;
module_param(hotplug_rises, uint, 0444);
module_param(hotplug_falls, uint, 0444);

static DEFINE_MUTEX(lock); /* of the registers and counters */
static u8 regs[REGISTERS];
static struct platform_device *platform;
static struct v4l2_device v4l2;

static bool is_latched(u16 reg)
{
	return reg >= SYS_INT && reg <= KEY_INT;
}

/* What the chip measures or sums up: the host's writes do nothing. */
static bool is_read_only(u16 reg)
{
	return reg < 2 || reg == HDMI_INT0 || reg == HDMI_INT1 || (reg >= SYS_STATUS && reg < PHY_CTL0) ||
	       (reg >= DE_WIDTH_H_LO && reg <= V_SIZE_HI) || reg == FV_CNT_LO || reg == FV_CNT_HI;
}

static bool is_pending(u16 status)
{
	return regs[status] & ~regs[status + SYS_INTM - SYS_INT];
}

/* The summary registers follow from the latched bits and their masks. */
static void sum_up_interrupts(void)
{
	regs[HDMI_INT0] = is_pending(MISC_INT) ? MASK_I_MISC : 0;
	regs[HDMI_INT1] = (is_pending(SYS_INT) ? MASK_I_SYS : 0) | (is_pending(CLK_INT) ? MASK_I_CLK : 0) |
			  (is_pending(CBIT_INT) ? MASK_I_CBIT : 0) | (is_pending(AUDIO_INT) ? MASK_I_AUD : 0);
	if (regs[HDMI_INT0] || regs[HDMI_INT1])
		regs[INTSTATUS + 1] |= MASK_HDMI_INT >> 8;
	else
		regs[INTSTATUS + 1] &= ~(MASK_HDMI_INT >> 8);
}

static void host_writes(u16 reg, u8 value)
{
	u8 before = regs[reg];

	if (is_read_only(reg))
		return;
	if (is_latched(reg) || reg == INTSTATUS || reg == INTSTATUS + 1)
		regs[reg] &= ~value; /* write one to clear */
	else
		regs[reg] = value;
	if (reg == HPD_CTL && ((before ^ value) & MASK_HPD_OUT0)) {
		if (value & MASK_HPD_OUT0)
			hotplug_rises++;
		else
			hotplug_falls++;
	}
}

/* A write carries the register's number, high byte first, then data; a read goes on where the last message stopped. */
static int transfer(struct i2c_adapter *adapter, struct i2c_msg *msgs, int count)
{
	static u16 reg;
	int i, j;

	for (i = 0; i < count; i++)
		if (!answers || msgs[i].addr != I2C_ADDRESS)
			return -ENXIO;

	mutex_lock(&lock);
	for (i = 0; i < count; i++) {
		struct i2c_msg *msg = &msgs[i];

		if (msg->flags & I2C_M_RD) {
			sum_up_interrupts();
			for (j = 0; j < msg->len; j++)
				msg->buf[j] = regs[reg++];
		} else if (msg->len >= 2) {
			reg = msg->buf[0] << 8 | msg->buf[1];
			for (j = 2; j < msg->len; j++)
				host_writes(reg++, msg->buf[j]);
		}
	}
	mutex_unlock(&lock);
	return count;
}

static u32 functionality(struct i2c_adapter *adapter)
{
	return I2C_FUNC_I2C | I2C_FUNC_SMBUS_EMUL;
}

static const struct i2c_algorithm algorithm = {
	.master_xfer = transfer,
	.functionality = functionality,
};

static struct i2c_adapter bus = {
	.owner = THIS_MODULE,
	.name = NAME,
	.algo = &algorithm,
};

/* 27 MHz in, 594 Mb/s a lane out: what the driver itself assumes for that clock. */
static struct tc358743_platform_data board = {
	.refclk_hz = 27000000,
	.ddc5v_delay = DDC5V_DELAY_100_MS,
	.fifo_level = 374,
	.pll_prd = 4,
	.pll_fbd = 88,
	.lineinitcnt = 0xe80,
	.lptxtimecnt = 0x3,
	.tclk_headercnt = 0x1403,
	.ths_headercnt = 0x103,
	.twakeup = 0x4882,
	.tclk_postcnt = 0x8,
	.ths_trailcnt = 0x2,
	.hdmi_detection_delay = HDMI_MODE_DELAY_0_MS,
};

static ssize_t source_reads(struct file *file, char __user *to, size_t count, loff_t *reg)
{
	ssize_t done;

	mutex_lock(&lock);
	done = simple_read_from_buffer(to, count, reg, regs, sizeof(regs));
	mutex_unlock(&lock);
	return done;
}

static ssize_t source_writes(struct file *file, const char __user *from, size_t count, loff_t *reg)
{
	u8 values[16];
	size_t i;

	if (count > sizeof(values) || *reg < 0 || *reg + count > REGISTERS)
		return -EINVAL;
	if (copy_from_user(values, from, count))
		return -EFAULT;
	mutex_lock(&lock);
	for (i = 0; i < count; i++, (*reg)++)
		regs[*reg] = is_latched(*reg) ? regs[*reg] | values[i] : values[i];
	mutex_unlock(&lock);
	return count;
}

static const struct file_operations source_operations = {
	.owner = THIS_MODULE,
	.read = source_reads,
	.write = source_writes,
	.llseek = default_llseek,
};

static struct miscdevice source = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = NAME,
	.fops = &source_operations,
};

static int __init start(void)
{
	struct i2c_board_info chip = { I2C_BOARD_INFO("tc358743", I2C_ADDRESS), .platform_data = &board };
	int err;

	memset(&regs[SYS_INTM], 0xff, KEY_INTM - SYS_INTM + 1); /* as after reset */
	platform = platform_device_register_simple(NAME, -1, NULL, 0);
	if (IS_ERR(platform))
		return PTR_ERR(platform);
	err = i2c_add_adapter(&bus);
	if (err)
		goto no_bus;
	strscpy(v4l2.name, NAME, sizeof(v4l2.name));
	err = v4l2_device_register(&platform->dev, &v4l2);
	if (err)
		goto no_v4l2;
	err = -ENODEV;
	if (!v4l2_i2c_new_subdev_board(&v4l2, &bus, &chip, NULL))
		goto no_chip;
	err = v4l2_device_register_subdev_nodes(&v4l2);
	if (err)
		goto no_chip;
	err = misc_register(&source);
	if (err)
		goto no_chip;
	return 0;

no_chip:
	v4l2_device_unregister(&v4l2);
no_v4l2:
	i2c_del_adapter(&bus);
no_bus:
	platform_device_unregister(platform);
	return err;
}

static void __exit stop(void)
{
	misc_deregister(&source);
	v4l2_device_unregister(&v4l2); /* takes the chip's driver away first */
	i2c_del_adapter(&bus);
	platform_device_unregister(platform);
}

module_init(start);
module_exit(stop);
MODULE_DESCRIPTION("A pretended TC358743 for tests");
MODULE_LICENSE("GPL");
